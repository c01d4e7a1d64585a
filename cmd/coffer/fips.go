package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
)

// startsWith makes every verb decide first which cryptography is used.
func (p *program) startsWith(root *cobra.Command) {
	root.PersistentFlags().BoolVar(&p.fips, "fips", false,
		"use only validated cryptography (FIPS 140-3), or do not start ("+fips.Env+"=1)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		err := p.chooseCryptography()
		p.began = err != nil // no mistake in the command line
		return err
	}
}

// chooseCryptography asks for FIPS mode where the flag does; the environment is
// asked by package fips. People are told when the mode is on; that it is not
// configured, version says.
func (p *program) chooseCryptography() error {
	if err := aes.CheckEnvironment(); err != nil {
		return err
	}
	if p.fips {
		if err := fips.Require(); err != nil {
			return err
		}
	}
	log := slog.New(slog.DiscardHandler)
	if fips.Enabled() {
		log = p.logger()
	}
	return fips.Start(log)
}
