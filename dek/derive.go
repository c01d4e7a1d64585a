package dek

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// CheckValueInfo is the HKDF info string of [Key.CheckValue].
const CheckValueInfo = "coffer/1 key check value"

// maxDerived is HKDF-SHA256's limit on its output, in bytes (RFC 5869, section 2.3).
const maxDerived = 255 * sha256.Size

// Derive fills dst (1 to 8,160 bytes) with HKDF-SHA256 of the key:
//
//	dst = HKDF-Expand(HKDF-Extract(salt, key), info, len(dst))
//
// (RFC 5869; SP 800-56C rev. 2, section 5). Bytes that info must bind besides
// text are put into the string as they are. Errors match [ErrUsage] for a
// length out of bounds and [ErrState] for a destroyed key; dst is then unchanged.
// Where FIPS mode was asked for and failed, its error comes back.
func (k *Key) Derive(dst, salt []byte, info string) error {
	raw := k.ExposeSecret()
	if raw == nil {
		return ErrDestroyed
	}
	return DeriveFrom(raw, dst, salt, info)
}

// DeriveFrom is [Key.Derive] for a secret that is not a key with an ID, such as
// a key-encryption key. It neither changes nor keeps the secret.
func DeriveFrom(secret, dst, salt []byte, info string) error {
	if len(dst) == 0 || len(dst) > maxDerived {
		return fmt.Errorf("dek: derive: %w: %d bytes asked, 1 to %d possible", fault.Usage, len(dst), maxDerived)
	}
	if err := fips.Allow(fips.HKDF); err != nil {
		return fmt.Errorf("dek: derive: %w", err)
	}
	out, err := hkdf.Key(sha256.New, secret, salt, info, len(dst))
	if err != nil {
		return fmt.Errorf("dek: derive: %w", err)
	}
	copy(dst, out)
	secmem.Wipe(out)
	return nil
}

// CheckValue returns the key check value under salt: 16 bytes of HKDF-SHA256
// with info [CheckValueInfo]. Stored beside what a key protects, it tells a
// wrong key under the right ID from altered data, and gives nothing away about
// the key. It panics on a destroyed key,
// whose check value does not exist, and where FIPS mode failed.
func (k *Key) CheckValue(salt []byte) [16]byte {
	var kcv [16]byte
	if err := k.Derive(kcv[:], salt, CheckValueInfo); err != nil {
		panic(err)
	}
	return kcv
}
