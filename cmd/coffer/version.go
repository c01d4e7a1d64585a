package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/internal/secmem"
)

// versionFacts is what version --json prints.
type versionFacts struct {
	Version      string   `json:"version"`
	Revision     string   `json:"revision,omitempty"` // of the source, if built from a repository
	Modified     bool     `json:"modified,omitempty"` // the source differed from that revision
	Go           string   `json:"go"`
	Platform     string   `json:"platform"`
	Suites       []string `json:"suites"`
	AES          string   `json:"aes"`           // the kernels in use, as "vaes512", or "go"
	FIPS         bool     `json:"fips"`          // FIPS mode is on
	FIPSState    string   `json:"fips_state"`    // as on the log, with the version of Go's module
	LockedMemory bool     `json:"locked_memory"` // keys are kept out of swap
}

func (p *program) versionCmd() *cobra.Command {
	var asJSON bool
	c := p.verb("version [--json]", "Say which version this is and what it can do here", cobra.NoArgs,
		func(context.Context, []string) error { return p.version(asJSON) })
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) version(asJSON bool) error {
	f := facts()
	if asJSON {
		return p.printJSON(f)
	}
	t := p.table()
	t.row("coffer", f.Version)
	if f.Revision != "" {
		t.row("revision", f.Revision+map[bool]string{true: " (modified)"}[f.Modified])
	}
	t.row("go", f.Go)
	t.row("platform", f.Platform)
	t.row("suites", fmt.Sprint(f.Suites))
	t.row("AES", f.AES)
	t.row("FIPS mode", onOff(f.FIPS))
	t.row("", f.FIPSState)
	t.row("locked memory", yesNo(f.LockedMemory))
	return t.flush()
}

// version is the module's version, or (devel).
func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}

func facts() versionFacts {
	f := versionFacts{
		Version: version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		AES: aes.Best().String(), FIPS: fips.Enabled(), FIPSState: fips.Current().String(), LockedMemory: secmem.StatusNow().Locked,
	}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				f.Revision = s.Value
			case "vcs.modified":
				f.Modified = s.Value == "true"
			}
		}
	}
	if fips.LibraryOnly() {
		f.AES = "go"
	}
	for _, s := range seal.Suites() {
		if s.Allowed(true) == nil {
			f.Suites = append(f.Suites, s.String())
		}
	}
	return f
}
