package fips

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

var (
	// ErrNotApproved: the service is not approved, or not in the form asked for,
	// and FIPS mode is on. It is a fault.Unsupported.
	ErrNotApproved = fmt.Errorf("not approved in FIPS mode: %w", fault.Unsupported)
	// ErrModule: FIPS mode was asked for and the validated module is not there,
	// or not on. It is a fault.Unsupported.
	ErrModule = fmt.Errorf("fips: the validated cryptographic module is not in use: %w", fault.Unsupported)
	// ErrPlatform: FIPS mode was asked for where the module does not run. It is a fault.Unsupported.
	ErrPlatform = fmt.Errorf("fips: the module does not run here: %w", fault.Unsupported)
	// ErrSelfTest: a known answer did not come out. It is a fault.Unsupported.
	ErrSelfTest = fmt.Errorf("fips: self-test failed: %w", fault.Unsupported)
	// ErrLate: FIPS mode was asked for after cryptography had been used without. It is a fault.State.
	ErrLate = fmt.Errorf("fips: too late, cryptography has been used already: %w", fault.State)
	// ErrEnvironment: COFFER_FIPS is neither on nor off. It is a fault.Usage.
	ErrEnvironment = fmt.Errorf("fips: environment variable %s: %w", Env, fault.Usage)
)
