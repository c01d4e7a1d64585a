package element

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// A Suite is a way to encrypt a value. Its number is stored in the header and bound
// into subkeys. The zero value is invalid.
type Suite uint8

// The suites. What each reveals is in the package comment.
const (
	GCM                Suite = 1 // AES-GCM (SP 800-38D), the default
	CBC                Suite = 2 // AES-CBC (SP 800-38A), PKCS #7, HMAC-SHA256
	SIV                Suite = 3 // AES-SIV (RFC 5297), deterministic
	CBCUnauthenticated Suite = 4 // AES-CBC, PKCS #7, nothing else
)

const suites = 5 // one more than the last

var suiteNames = [suites]string{GCM: "aes-gcm", CBC: "aes-cbc-hmac", SIV: "aes-siv", CBCUnauthenticated: "aes-cbc-unauthenticated"}

// Suites returns every suite, the default first.
func Suites() []Suite { return []Suite{GCM, CBC, SIV, CBCUnauthenticated} }

// Valid reports whether s is one of the suites.
func (s Suite) Valid() bool { return s > 0 && s < suites }

// Authenticated reports whether values of the suite are protected against change.
func (s Suite) Authenticated() bool { return s.Valid() && s != CBCUnauthenticated }

// String returns the name used on the command line, or "suite(N)" for a number that names none.
func (s Suite) String() string {
	if !s.Valid() {
		return fmt.Sprintf("suite(%d)", uint8(s))
	}
	return suiteNames[s]
}

// ParseSuite is the inverse of [Suite.String], exact in case; the error is [ErrUsage].
func ParseSuite(name string) (Suite, error) {
	for _, s := range Suites() {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fault.Hint(usagef("no suite %q", name), fmt.Sprintf("There are %v.", Suites()))
}

// Allowed returns nil if the suite may be used now: in FIPS mode SIV may not, and
// where FIPS mode was asked for and failed nothing may. The error is a fault.Unsupported.
func (s Suite) Allowed() error {
	var services []fips.Service
	switch s {
	case GCM:
		services = []fips.Service{fips.GCMSeal, fips.GCMOpen}
	case CBC:
		services = []fips.Service{fips.CBCHMAC}
	case SIV:
		services = []fips.Service{fips.SIV}
	case CBCUnauthenticated:
		services = []fips.Service{fips.CBCAlone}
	default:
		return usagef("no such suite: %v", s)
	}
	for _, service := range services {
		if err := fips.Allow(service); err != nil {
			return fmt.Errorf("element: suite %v: %w", s, err)
		}
	}
	return nil
}

// A Kind says what a ciphertext holds. The zero value is invalid.
type Kind uint8

// The kinds.
const (
	KindValue  Kind = 1 // one value: Cipher.Decrypt
	KindStream Kind = 2 // a stream: NewReader, OpenReaderAt
)

// String returns "value" or "stream".
func (k Kind) String() string {
	switch k {
	case KindValue:
		return "value"
	case KindStream:
		return "stream"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}
