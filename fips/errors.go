package fips

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

var (
	// ErrNotApproved: the service is not approved, or not in the form asked for,
	// and FIPS mode is on. It is a fault.Unsupported.
	ErrNotApproved error = refusal("not approved in FIPS mode")
	// ErrModule: FIPS mode was asked for and the validated module is not there,
	// or not on. It is a fault.Unsupported.
	ErrModule error = refusal("fips: the validated cryptographic module is not in use")
	// ErrPlatform: FIPS mode was asked for where the module does not run. It is a fault.Unsupported.
	ErrPlatform error = refusal("fips: the validated cryptographic module does not run here")
	// ErrSelfTest: a known answer did not come out. It is a fault.Unsupported.
	ErrSelfTest error = refusal("fips: self-test failed")
	// ErrLate: FIPS mode was asked for after cryptography had been used without. It is a fault.State.
	ErrLate = fmt.Errorf("fips: too late, cryptography has been used already: %w", fault.State)
	// ErrEnvironment: COFFER_FIPS is neither on nor off. It is a fault.Usage.
	ErrEnvironment = fmt.Errorf("fips: environment variable %s: %w", Env, fault.Usage)
)

// A refusal is a fault.Unsupported that says more than that.
type refusal string

func (r refusal) Error() string { return string(r) }

// Unwrap returns the marker.
func (r refusal) Unwrap() error { return fault.Unsupported }
