package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const about = `Coffer keeps database files encrypted under keys that you control.

A volume is one file of encrypted blocks. A key file holds the keys, for
administrators with passwords. The journal of a volume is the folder
VOLUME.journal beside it; after a clean exit it is gone and the volume file
alone is complete.

Keys come from key files: --keyfile FILE --admin NAME --password-file FILE,
which may be repeated (the n-th administrator and password belong to the n-th
key file), or from COFFER_KEYFILE, COFFER_ADMIN and COFFER_PASSWORD_FILE. A
password that is given nowhere is asked for; --credential FILE has name and
password in one file. They also come from key services: --kms-keyfile FILE, or
COFFER_KMS_KEYFILE; and from KMIP servers: --kmip NAME --kmip-key ID, or
COFFER_KMIP (coffer kmip says how). All that are given are activated, key files
first; the first key is the one that new volumes get. Where a flag names a
source, the environment names none.

With --fips, or COFFER_FIPS=1, only validated cryptography is used, or the
program does not start: it must be built with GOFIPS140=v1.0.0.

Exit codes: 0 done; 1 I/O error, disk full, no permission, key service out of
reach or access denied; 2 usage, not a volume or key file, out of range; 3 wrong
password, unknown administrator, key not activated or not usable at its service;
4 damaged, altered, rolled back; 5 refused by state, in use, exists already; 6
not supported here; 130 stopped by SIGINT.`

// root is the whole tree of commands.
func (p *program) root() *cobra.Command {
	root := p.group("coffer", "Encrypted volumes and their keys")
	root.Long = about
	root.SilenceErrors, root.SilenceUsage = true, true
	p.startsWith(root)
	root.AddCommand(
		p.demoCmd(), p.versionCmd(), p.keyfileCmd(), p.kmsCmd(), p.kmipCmd(),
		p.createCmd(), p.encryptCmd(), p.decryptCmd(), p.rekeyCmd(),
		p.resizeCmd(), p.eraseCmd(), p.infoCmd(), p.verifyCmd(), p.labelCmd(),
		p.catCmd(), p.putCmd(), p.sqlCmd(), p.exportCmd(), p.salvageCmd(), p.anchorCmd(), p.journalCmd(), p.backupCmd(), p.restoreCmd(), p.elementCmd(), p.serveCmd(), p.benchCmd(), p.manCmd(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Run, c.RunE = nil, help
		case "completion":
			c.Args, c.RunE = nil, needsCommand
		}
	}
	return root
}

// help shows the help of a command, and refuses what is none.
func help(c *cobra.Command, args []string) error {
	about, rest, err := c.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("there is no command %q", strings.Join(args, " "))
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}

// manCmd writes the manual pages. It is for those who package the program.
func (p *program) manCmd() *cobra.Command {
	c := p.verb("man DIR", "Write the manual pages into a folder", cobra.ExactArgs(1), nil)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p.began = true
		return p.man(cmd.Context(), cmd.Root(), args[0])
	}
	return c
}

func (p *program) man(_ context.Context, root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	h := &doc.GenManHeader{Title: "COFFER", Section: "1", Source: "Coffer " + version(), Manual: "Coffer"}
	if err := doc.GenManTree(root, h, dir); err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	return nil
}
