package keyfile

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// deriver makes a principal key from a password.
type deriver func(password, salt []byte, iterations uint32) (*secmem.Buffer, error)

// principalKey is PBKDF2-HMAC-SHA512 (PKCS #5 v2.1, section 5.2; SP 800-132),
// 32 bytes. FIPS mode has no other function for passwords, and this one in both modes.
func principalKey(password, salt []byte, iterations uint32) (*secmem.Buffer, error) {
	if err := fips.Allow(fips.PBKDF2); err != nil {
		return nil, fmt.Errorf("keyfile: derive principal key: %w", err)
	}
	key, err := pbkdf2.Key(sha512.New, string(password), salt, int(iterations), kekSize)
	if err != nil {
		return nil, fmt.Errorf("keyfile: derive principal key: %w", err)
	}
	return secmem.From(key)
}

// newAdmin makes a record that lets name and password at the KEK. name is canonical.
func newAdmin(derive deriver, name string, password []byte, iterations uint32, kek *secmem.Buffer) (adminRecord, error) {
	a := adminRecord{name: name, iterations: iterations}
	rand.Read(a.salt[:]) // never fails: crypto/rand ends the process instead
	principal, err := derive(password, a.salt[:], iterations)
	if err != nil {
		return a, err
	}
	defer principal.Release()
	wrapped, err := dek.Wrap(principal.Bytes(), kek.Bytes())
	if err != nil {
		return a, err
	}
	copy(a.wrapped[:], wrapped)
	return a, nil
}

// unwrapKEK opens a record with a password.
func (a *adminRecord) unwrapKEK(derive deriver, password []byte) (*secmem.Buffer, error) {
	principal, err := derive(password, a.salt[:], a.iterations)
	if err != nil {
		return nil, err
	}
	defer principal.Release()
	kek, err := dek.Unwrap(principal.Bytes(), a.wrapped[:])
	if errors.Is(err, fault.WrongKey) {
		return nil, fault.Hint(fmt.Errorf("keyfile: administrator %s: wrong password or altered administrator record: %w", a.name, fault.WrongKey),
			"Type the password again; if it is right, another administrator or a backup copy of the key file may still open.")
	}
	return kek, err
}

// unwrap opens a key record with the KEK. The MAC said that record and KEK
// belong together, so that a failure is damage done before it was computed.
func (k *keyRecord) unwrap(kek *secmem.Buffer) (*dek.Key, error) {
	raw, err := dek.Unwrap(kek.Bytes(), k.wrapped)
	if errors.Is(err, fault.WrongKey) {
		return nil, damaged("key %s does not unwrap", k.id)
	}
	if err != nil {
		return nil, fmt.Errorf("keyfile: key %s: %w", k.id, err)
	}
	defer raw.Release()
	return dek.Import(k.id, raw.Bytes())
}
