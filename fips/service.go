package fips

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// A Service is a use of cryptography that Coffer makes, or that it refuses in FIPS mode.
type Service uint8

// The services.
const (
	_           Service = iota // no service
	Random                     // random bits for keys, nonces and salts
	SHA2                       // SHA-256, SHA-512
	HMAC                       // HMAC-SHA256
	HKDF                       // subkeys: HKDF-SHA256
	PBKDF2                     // keys from passwords: PBKDF2-HMAC-SHA512
	KeyWrap                    // AES key wrap, RFC 3394
	GCMSeal                    // AES-GCM, sealing, with the nonce drawn by the module
	GCMOpen                    // AES-GCM, opening
	CBCSeal                    // AES-CBC with GMAC (suite aes-cbc), sealing
	CBCOpen                    // AES-CBC with GMAC (suite aes-cbc), opening
	XTS                        // XTS-AES with GMAC (suite aes-xts), both ways
	CBCHMAC                    // AES-CBC with HMAC (data elements, suite aes-cbc-hmac), both ways
	CBCAlone                   // AES-CBC without authentication (data elements), both ways
	SIV                        // AES-SIV (data elements), both ways
	FF1                        // format-preserving encryption (data elements), both ways
	OtherKDF                   // keys from passwords by scrypt, Argon2 and the like
	OtherCipher                // any other cipher
)

// A rule says how a service stands in FIPS mode.
type rule struct {
	name   string
	source string // the standard
	reason string // why it is refused; "" if it is approved
	hint   string // what to do instead
}

const gcmInstead = "Use suite aes-gcm. Outside FIPS mode a volume under another suite can be converted to it: coffer rekey --cipher aes-gcm."

var rules = [...]rule{
	Random:  {name: "random bits", source: "SP 800-90A, CTR_DRBG"},
	SHA2:    {name: "SHA-256, SHA-512", source: "FIPS 180-4"},
	HMAC:    {name: "HMAC-SHA256", source: "FIPS 198-1"},
	HKDF:    {name: "HKDF-SHA256", source: "SP 800-56C rev. 2; RFC 5869"},
	PBKDF2:  {name: "PBKDF2-HMAC-SHA512", source: "SP 800-132"},
	KeyWrap: {name: "AES key wrap", source: "SP 800-38F, KW; RFC 3394"},
	GCMSeal: {name: "AES-GCM, sealing", source: "SP 800-38D; IG C.H, scenario 2"},
	GCMOpen: {name: "AES-GCM, opening", source: "SP 800-38D"},
	CBCSeal: {name: "AES-CBC with GMAC, sealing", source: "SP 800-38A, SP 800-38D",
		reason: "the nonce of its GMAC must be known before the ciphertext is, so that the module cannot draw it", hint: gcmInstead},
	CBCOpen: {name: "AES-CBC with GMAC, opening", source: "SP 800-38A, SP 800-38D"},
	XTS: {name: "XTS-AES with GMAC", source: "SP 800-38E",
		reason: "the module has no XTS", hint: gcmInstead},
	CBCHMAC:  {name: "AES-CBC with HMAC-SHA256, both ways", source: "SP 800-38A, FIPS 198-1"},
	CBCAlone: {name: "AES-CBC without authentication, both ways", source: "SP 800-38A"},
	SIV: {name: "AES-SIV", source: "RFC 5297",
		reason: "no NIST standard has it, and the module does not offer its CMAC", hint: "Use suite aes-gcm, with a blind index to look values up."},
	FF1: {name: "FF1", source: "SP 800-38G",
		reason: "the module has no FF1", hint: "Use suite aes-gcm in a column that is wide enough."},
	OtherKDF: {name: "scrypt, Argon2", source: "RFC 7914, RFC 9106",
		reason: "no NIST standard has them", hint: "Use PBKDF2."},
	OtherCipher: {name: "other ciphers", source: "–",
		reason: "only AES is approved here", hint: "Use AES."},
}

func (s Service) known() bool { return s > 0 && int(s) < len(rules) }

// String returns the name.
func (s Service) String() string {
	if !s.known() {
		return fmt.Sprintf("service(%d)", uint8(s))
	}
	return rules[s].name
}

// approved returns nil, or an [ErrNotApproved] that says why.
func (s Service) approved() error {
	if !s.known() {
		return fmt.Errorf("fips: %v: %w", s, ErrNotApproved)
	}
	r := &rules[s]
	if r.reason == "" {
		return nil
	}
	return fault.Hint(fmt.Errorf("fips: %s: %w: %s", r.name, ErrNotApproved, r.reason), r.hint)
}

// A ServiceInfo describes a service.
type ServiceInfo struct {
	Service  Service
	Name     string
	Standard string
	Approved bool   // FIPS mode allows it
	Reason   string // why not
}

// Services lists every service, in a fixed order.
func Services() []ServiceInfo {
	var all []ServiceInfo
	for s := range rules {
		if r := &rules[s]; Service(s).known() {
			all = append(all, ServiceInfo{Service(s), r.name, r.source, r.reason == "", r.reason})
		}
	}
	return all
}
