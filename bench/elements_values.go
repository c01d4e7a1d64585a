package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/element"
)

// atLeast turns a share of the baseline's speed into what the ratio of times may be.
func atLeast(share float64) float64 { return 1 / share }

// values compares Encrypt and Decrypt of small values with AES-GCM used bare.
func (r *elementRun) values() ([]contest, error) {
	bare, err := newBareGCM()
	if err != nil {
		return nil, err
	}
	context := element.NewContext("patients", "ssn")
	var all []contest
	for _, n := range []int{16, 64, 256, 1024} {
		plain, room, opened := make([]byte, n), make([]byte, 0, n+128), make([]byte, 0, n+128)
		ours, err := r.c.Encrypt(plain, r.key, context)
		if err != nil {
			return nil, err
		}
		theirs := bare.seal(nil, plain, context)
		all = append(all, contest{
			name: fmt.Sprintf("value-encrypt/%d", n), per: 1, unit: "ns", target: atLeast(0.8),
			note: "AppendEncrypt, aes-gcm, 256 bits / crypto/cipher with a cached key, a nonce from crypto/rand and the context as additional data",
			coffer: func(count int) (err error) {
				for i := 0; i < count && err == nil; i++ {
					_, err = r.c.AppendEncrypt(room, plain, r.key, context)
				}
				return err
			},
			bare: func(count int) error {
				for range count {
					bare.seal(room, plain, context)
				}
				return nil
			},
		}, contest{
			name: fmt.Sprintf("value-decrypt/%d", n), per: 1, unit: "ns", target: atLeast(0.8),
			note: "AppendDecrypt, the key found by its ID / crypto/cipher with the key at hand",
			coffer: func(count int) (err error) {
				for i := 0; i < count && err == nil; i++ {
					_, err = r.c.AppendDecrypt(opened, ours, context)
				}
				return err
			},
			bare: func(count int) (err error) {
				for i := 0; i < count && err == nil; i++ {
					err = bare.open(opened, theirs, context)
				}
				return err
			},
		})
	}
	return all, nil
}

// A bareGCM is what a program would write with the standard library.
type bareGCM struct{ aead cipher.AEAD }

func newBareGCM() (g bareGCM, err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err == nil {
		g.aead, err = cipher.NewGCM(block)
	}
	return g, err
}

func (g bareGCM) seal(dst, plain, context []byte) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:])
	return g.aead.Seal(append(dst, nonce[:]...), nonce[:], plain, context)
}

var errBare = errors.New("the bare side does not open what it sealed")

func (g bareGCM) open(dst, ciphertext, context []byte) error {
	if _, err := g.aead.Open(dst, ciphertext[:nonceSize], ciphertext[nonceSize:], context); err != nil {
		return errBare
	}
	return nil
}
