package element

import (
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/ff1"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Limits of digits. Fewer than six would make a domain of less than 10^6, which SP
// 800-38G, rev. 1, does not allow: it could be searched.
const (
	MinDigits = 6
	MaxDigits = 64
)

// EncryptDigits encrypts 6 to 64 decimal digits to as many others (FF1, SP 800-38G),
// for columns that cannot grow. The context is FF1's tweak: public, and best different
// for each row or column.
//
// Prefer a suite wherever there is room. Digits have no place for a key ID, so that
// who decrypts must know the key; nor for a tag, so that a wrong key, a wrong context or altered digits
// give other digits and no error. Equal digits under one key and context are equal when
// encrypted, so that frequencies show. It takes microseconds, and is refused in FIPS mode.
//
// Errors: [ErrUsage], [ErrNotActivated], [ErrDecryptOnly], [ErrClosed], a fault.Unsupported in FIPS mode. None repeats the digits.
func (c *Cipher) EncryptDigits(digits string, key dek.ID, context []byte) (string, error) {
	return c.digits(digits, key, context, true)
}

// DecryptDigits is the inverse of [Cipher.EncryptDigits].
func (c *Cipher) DecryptDigits(digits string, key dek.ID, context []byte) (string, error) {
	return c.digits(digits, key, context, false)
}

// RekeyDigits decrypts digits under one key and encrypts them under another, bound to the same context.
func (c *Cipher) RekeyDigits(digits string, from, to dek.ID, context []byte) (string, error) {
	plain, err := c.DecryptDigits(digits, from, context)
	if err != nil {
		return "", err
	}
	return c.EncryptDigits(plain, to, context)
}

func (c *Cipher) digits(digits string, key dek.ID, context []byte, encrypt bool) (string, error) {
	if len(digits) < MinDigits || len(digits) > MaxDigits {
		return "", usagef("%d to %d digits, not %d", MinDigits, MaxDigits, len(digits))
	}
	x := []byte(digits)
	defer secmem.Wipe(x)
	for i := range x {
		if x[i] -= '0'; x[i] > 9 {
			return "", usagef("character %d is no digit", i)
		}
	}
	if err := checkContext(context); err != nil {
		return "", err
	}
	k, err := c.use(key)
	if err != nil {
		return "", err
	}
	defer c.mu.RUnlock()
	d, err := k.digitState()
	if err != nil {
		return "", err
	}
	if encrypt {
		if err := k.mayEncrypt(); err != nil {
			return "", err
		}
		err = d.ff1.Encrypt(x, context)
	} else {
		err = d.ff1.Decrypt(x, context)
	}
	if err != nil {
		return "", fmt.Errorf("element: %w", err)
	}
	for i := range x {
		x[i] += '0'
	}
	return string(x), nil
}

// A digitState encrypts digits under one key.
type digitState struct {
	key *aes.Key
	ff1 *ff1.Cipher
}

func (d *digitState) close() {
	if d != nil {
		d.key.Close()
	}
}

// digitState returns the key's state for digits, which it makes at first use.
func (k *keyState) digitState() (*digitState, error) {
	if d := k.digits.Load(); d != nil {
		return d, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if d := k.digits.Load(); d != nil {
		return d, nil
	}
	if err := fips.Allow(fips.FF1); err != nil {
		return nil, fmt.Errorf("element: digits: %w", err)
	}
	d := &digitState{}
	der := deriver{key: k.lease.Key()}
	err := der.with("ff1", der.key.Len(), func(subkey []byte) (err error) {
		if d.key, err = aes.NewKey(subkey); err == nil {
			d.ff1, err = ff1.New(d.key, 10)
		}
		return err
	})
	if err != nil {
		d.close()
		return nil, err
	}
	k.digits.Store(d)
	return d, nil
}
