package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"golang.org/x/crypto/xts"
)

// library makes the task of an item on Go's library, one block after the other.
func library(a *arena, it *item) (t task, err error) {
	op, n := operations[it.Op], it.Bits/8
	switch op.mode {
	case "gcm":
		return libraryGCM(a, it, op.decrypt)
	case "xts":
		c, err := xts.NewCipher(aes.NewCipher, append(append([]byte{}, a.keys[:n]...), a.keys[32:32+n]...))
		if err != nil {
			return t, fmt.Errorf("bench: x/crypto/xts: %w", err)
		}
		crypt := c.Encrypt
		if op.decrypt {
			crypt = c.Decrypt
		}
		t.run = func() {
			for i := range it.Batch {
				dst, src := a.block(i, it.BlockSize)
				crypt(dst, src, uint64(i))
			}
		}
		return t, nil
	}
	b, err := aes.NewCipher(a.keys[:n])
	if err != nil {
		return t, fmt.Errorf("bench: crypto/aes: %w", err)
	}
	iv := make([]byte, aes.BlockSize)
	mode := cipher.NewCBCEncrypter(b, iv)
	if op.decrypt {
		mode = cipher.NewCBCDecrypter(b, iv)
	}
	again, _ := mode.(interface{ SetIV([]byte) }) // Go's own has it; without it the chain just goes on
	t.run = func() {
		for i := range it.Batch {
			if again != nil {
				copy(iv, a.nonces[i][:])
				again.SetIV(iv)
			}
			dst, src := a.block(i, it.BlockSize)
			mode.CryptBlocks(dst, src)
		}
	}
	return t, nil
}

func libraryGCM(a *arena, it *item, open bool) (t task, err error) {
	b, err := aes.NewCipher(a.keys[:it.Bits/8])
	if err != nil {
		return t, fmt.Errorf("bench: crypto/aes: %w", err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		return t, fmt.Errorf("bench: crypto/cipher: %w", err)
	}
	seal := func() {
		for i := range it.Batch {
			dst, src := a.block(i, it.BlockSize)
			g.Seal(dst[:0], a.nonces[i][:], src, a.ad)
		}
	}
	t.run = seal
	if open {
		seal()
		for i := range it.Batch {
			dst, src := a.block(i, it.BlockSize)
			copy(src[:cap(src)], dst[:cap(dst)])
		}
		t.run = func() {
			for i := range it.Batch {
				dst, src := a.block(i, it.BlockSize)
				if _, err := g.Open(dst[:0], a.nonces[i][:], src[:cap(src)], a.ad); err != nil {
					panic("bench: Go's library refuses what it sealed")
				}
			}
		}
	}
	return t, nil
}
