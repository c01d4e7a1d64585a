package seal

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
)

// A Suite is a way to seal blocks. Its number is stored in labels and bound
// into subkeys and additional data.
type Suite uint8

// The suites. Zero is no suite.
const (
	SuiteGCM  Suite = 1 // AES-GCM (SP 800-38D)
	SuiteCBC  Suite = 2 // AES-CBC (SP 800-38A) with GMAC
	SuiteXTS  Suite = 3 // XTS-AES (IEEE 1619, SP 800-38E) with GMAC
	SuiteNone Suite = 4 // plaintext with SHA-256
)

var suiteNames = [...]string{
	SuiteGCM:  "aes-gcm",
	SuiteCBC:  "aes-cbc",
	SuiteXTS:  "aes-xts",
	SuiteNone: "none",
}

// Suites returns every suite, the default first.
func Suites() []Suite { return []Suite{SuiteGCM, SuiteCBC, SuiteXTS, SuiteNone} }

// String returns the name used on the command line, or "suite(N)" for a number that names none.
func (s Suite) String() string {
	if s == 0 || int(s) >= len(suiteNames) {
		return fmt.Sprintf("suite(%d)", uint8(s))
	}
	return suiteNames[s]
}

// ParseSuite is the inverse of [Suite.String], exact in case. The error wraps [ErrSuite].
func ParseSuite(name string) (Suite, error) {
	for _, s := range Suites() {
		if suiteNames[s] == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("suite %q is not aes-gcm, aes-cbc, aes-xts or none: %w", name, ErrSuite)
}

// Encrypted reports whether the suite needs a key.
func (s Suite) Encrypted() bool { return s == SuiteGCM || s == SuiteCBC || s == SuiteXTS }

// Valid returns nil if the suite exists with DEKs of that many bits: 128, 192
// or 256, for XTS 128 or 256, for none 0. Otherwise the error wraps [ErrSuite].
func (s Suite) Valid(bits int) error {
	ok := false
	switch s {
	case SuiteGCM, SuiteCBC:
		ok = bits == 128 || bits == 192 || bits == 256
	case SuiteXTS:
		ok = bits == 128 || bits == 256
	case SuiteNone:
		ok = bits == 0
	}
	if !ok {
		return fmt.Errorf("%v with a key of %d bits: %w", s, bits, ErrSuite)
	}
	return nil
}

// Allowed returns nil if the suite may be used now, for sealing or for opening
// alone. In FIPS mode aes-xts may not, and aes-cbc only opens; the error is then
// a fault.Unsupported. Where FIPS mode was asked for and failed nothing may.
func (s Suite) Allowed(sealing bool) error {
	service := fips.SHA2
	switch {
	case s == SuiteGCM && sealing:
		service = fips.GCMSeal
	case s == SuiteGCM:
		service = fips.GCMOpen
	case s == SuiteCBC && sealing:
		service = fips.CBCSeal
	case s == SuiteCBC:
		service = fips.CBCOpen
	case s == SuiteXTS:
		service = fips.XTS
	}
	if err := fips.Allow(service); err != nil {
		return fmt.Errorf("suite %v: %w", s, err)
	}
	return nil
}
