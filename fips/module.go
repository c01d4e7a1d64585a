package fips

import (
	"crypto/fips140"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/cofferdb/coffer/internal/fault"
)

// validated lists the versions of Go's cryptographic module that the CMVP has
// validated, with the numbers of their certificates. A version that is still in
// process does not belong here.
var validated = map[string]string{
	"v1.0.0": "5247",
}

// facts are what there is to know about the module in this program.
type facts struct {
	unsupported string // why the module cannot run here; "" if it can
	enabled     bool   // the module is in FIPS 140-3 mode, after its own integrity check and self-tests
	enforced    bool   // GODEBUG=fips140=only
	version     string // as crypto/fips140.Version
	build       string // GOFIPS140 as the go command resolved it
}

// linked returns the facts of this process.
func linked() facts {
	return facts{unsupported: unsupported(), enabled: fips140.Enabled(), enforced: fips140.Enforced(),
		version: fips140.Version(), build: buildSetting()}
}

// unsupported says why Go's module cannot be in FIPS mode in this build or on
// this platform. It is the list of crypto/internal/fips140.Supported, which
// cannot be called from outside.
func unsupported() string {
	switch on := runtime.GOOS + "/" + runtime.GOARCH; {
	case otherBuild != "":
		return "a build with " + otherBuild + " is without the module"
	case runtime.GOARCH == "wasm", runtime.GOOS == "openbsd", runtime.GOOS == "aix", on == "windows/386":
		return "the module does not run on " + on
	}
	return ""
}

func buildSetting() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			if s.Key == "GOFIPS140" {
				return s.Value
			}
		}
	}
	return ""
}

const howToBuild = "Build the program with GOFIPS140=v1.0.0 (make fips does), and do not switch the module off with GODEBUG."

// check returns nil if the validated module is in use.
func (f facts) check() error {
	switch {
	case f.unsupported != "":
		return fmt.Errorf("%w: %s", ErrPlatform, f.unsupported)
	case validated[f.version] == "":
		return fault.Hint(fmt.Errorf("%w: this program has version %q of it, which has no certificate", ErrModule, f.version), howToBuild)
	case !f.enabled:
		return fault.Hint(fmt.Errorf("%w: version %s is in this program and is switched off", ErrModule, f.version), howToBuild)
	}
	return nil
}

func (f facts) status(s State, err error) *Status {
	return &Status{State: s, Module: f.version, Build: f.build, Certificate: validated[f.version], Err: err}
}
