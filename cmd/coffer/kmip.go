package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/kmip"
)

// envKMIPConfig stands in for --kmip-config.
const envKMIPConfig = "COFFER_KMIP_CONFIG"

const aboutKMIP = `Keys on servers that speak KMIP, versions 1.0 to 2.1.

A server configuration says where a server is and who this client is; its name
stands for it everywhere. Configurations lie in one file, which names the files
of certificates, private keys and passwords and never holds them.

  coffer kmip server create hsm --host kms.example --ca ca.pem --cert me.pem --key me.key
  coffer kmip server test hsm
  coffer kmip key create hsm --bits 256

A key is named by the server's identifier, or by the GUID under which volumes
know it.`

// kmipFlags say where server configurations are.
type kmipFlags struct{ config string }

func (k *kmipFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&k.config, "kmip-config", "",
		"`FILE` of server configurations ("+envKMIPConfig+"); else kmip.json in the user's configuration folder")
}

// kmipConfigPath returns the configuration file to use.
func (p *program) kmipConfigPath(k *kmipFlags) (string, error) {
	if k.config != "" {
		return k.config, nil
	}
	if path := p.getenv(envKMIPConfig); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fault.Hint(usagef("no configuration folder: %w", err), "Give --kmip-config FILE, or set "+envKMIPConfig+".")
	}
	return filepath.Join(dir, "coffer", "kmip.json"), nil
}

// kmipServer returns the server configuration of that name.
func (p *program) kmipServer(k *kmipFlags, name string) (kmip.Server, error) {
	path, err := p.kmipConfigPath(k)
	if err != nil {
		return kmip.Server{}, err
	}
	c, err := kmip.LoadConfig(nil, path)
	if err != nil {
		return kmip.Server{}, err
	}
	if fi, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && fi.Mode().Perm()&0o022 != 0 {
		p.warn("%s can be written by others than its owner, who could name another server in it: chmod 600 %s", path, path)
	}
	return c.Server(name)
}

// withKMIP connects to the server of that name, and disconnects.
func (p *program) withKMIP(ctx context.Context, k *kmipFlags, name string, do func(*kmip.Client) error) error {
	s, err := p.kmipServer(k, name)
	if err != nil {
		return err
	}
	c, err := kmip.Dial(ctx, s, &kmip.Options{Log: p.logger()})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // every answer is in
	return do(c)
}

// withKMIPKey is withKMIP for one key, which is looked up.
func (p *program) withKMIPKey(ctx context.Context, k *kmipFlags, server, id string, do func(*kmip.Client, kmip.KeyInfo) error) error {
	return p.withKMIP(ctx, k, server, func(c *kmip.Client) error {
		info, err := c.Find(ctx, id)
		if err != nil {
			return err
		}
		return do(c, info)
	})
}

func (p *program) kmipCmd() *cobra.Command {
	c := p.group("kmip", "Keys on KMIP servers",
		p.group("server", "Server configurations: where servers are, and who this client is",
			p.kmipServerCreateCmd(), p.kmipServerEditCmd(), p.kmipServerDeleteCmd(),
			p.kmipServerListCmd(), p.kmipServerShowCmd(), p.kmipServerTestCmd()),
		p.group("key", "Keys on a server",
			p.kmipKeyCreateCmd(), p.kmipKeyRegisterCmd(), p.kmipKeyListCmd(), p.kmipKeyAdoptCmd(), p.kmipKeyActivateCmd(),
			p.kmipKeyRevokeCmd(), p.kmipKeyDestroyCmd(), p.kmipKeyCopyCmd()))
	c.Long = aboutKMIP
	return c
}

// absolute makes a path that means the same from every folder; "" stays.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("path %s: %w", path, err)
	}
	return abs, nil
}
