package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func isClosed(err error) bool { return errors.Is(err, ErrClosed) }

// sealOne seals one block of size bytes and returns it ready for opening.
func sealOne(t *testing.T, v variant, sc Scope, size int) Block {
	t.Helper()
	batch, _ := plainBatch(1, size, false)
	require.NoError(t, newCipher(t, v, sc).Seal(batch))
	turn(batch, false)
	return batch[0]
}

// mustFail opens a copy of b, in place and not, between two good blocks, and
// expects it alone to be refused.
func mustFail(t *testing.T, c Cipher, good, b Block, damaged bool, what string) {
	t.Helper()
	for _, inPlace := range []bool{false, true} {
		batch := []Block{good, b, good}
		for i := range batch {
			batch[i].Dst = bytes.Clone(batch[i].Src)
		}
		turn(batch, inPlace)
		err := c.Open(batch)
		require.ErrorIs(t, err, fault.Tampered, what)
		require.Equal(t, damaged, errors.Is(err, fault.Damaged), what)
		var be *BatchError
		require.ErrorAs(t, err, &be)
		require.Equal(t, 1, be.Failed, what)
		require.Equal(t, 3, be.Total, what)
		var one *BlockError
		require.ErrorAs(t, batch[1].Err, &one)
		require.Equal(t, b.Position, one.Position)
		require.Equal(t, c.Suite(), one.Suite)
		require.Equal(t, make([]byte, len(b.Src)), batch[1].Dst, "%s: Dst is not zero", what)
		for _, i := range []int{0, 2} {
			require.NoError(t, batch[i].Err, what)
			require.Equal(t, wantPlain(len(b.Src)), batch[i].Dst, what)
		}
	}
}

// wantPlain is the plaintext of plainBatch's first block.
func wantPlain(size int) []byte {
	_, plain := plainBatch(1, size, false)
	return plain[0]
}

func TestEveryBitOfCiphertextAndRecord(t *testing.T) {
	const size = 48
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) {
			sc := testScope(v)
			c, good := newCipher(t, v, sc), sealOne(t, v, sc, size)
			for bit := range size * 8 {
				b := good
				b.Src = bytes.Clone(good.Src)
				b.Src[bit/8] ^= 1 << (bit % 8)
				mustFail(t, c, good, b, true, fmt.Sprintf("ciphertext bit %d", bit))
				b.CRC = Checksum(b.Src)
				mustFail(t, c, good, b, false, fmt.Sprintf("ciphertext bit %d, checksum made to fit", bit))
			}
			for bit := range TagSize * 8 {
				b := good
				b.Tag[bit/8] ^= 1 << (bit % 8)
				mustFail(t, c, good, b, false, fmt.Sprintf("tag bit %d", bit))
			}
			for bit := range NonceSize * 8 {
				b := good
				b.Nonce[bit/8] ^= 1 << (bit % 8)
				mustFail(t, c, good, b, false, fmt.Sprintf("nonce bit %d", bit))
			}
			for bit := range 64 {
				b := good
				b.Position ^= 1 << bit
				mustFail(t, c, good, b, false, fmt.Sprintf("position bit %d", bit))
			}
		})
	}
}

func TestLastUnitOfALargeBlock(t *testing.T) {
	for _, v := range variants() {
		sc := testScope(v)
		good := sealOne(t, v, sc, 65536)
		b := good
		b.Src = bytes.Clone(good.Src)
		b.Src[65535] ^= 0x80
		mustFail(t, newCipher(t, v, sc), good, b, true, v.String())
	}
}

// Every bit of the scope. The key's bytes stay the same under another ID.
func TestEveryBitOfTheScope(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) {
			right := testScope(v)
			good := sealOne(t, v, right, 64)
			for what, wrong := range wrongScopes(v, right) {
				batch := []Block{good}
				turn(batch, false)
				batch[0].Src = bytes.Clone(good.Src)
				err := newCipher(t, v, wrong).Open(batch)
				require.ErrorIs(t, err, fault.Tampered, what)
				require.NotErrorIs(t, err, fault.Damaged, what)
				require.Equal(t, make([]byte, 64), batch[0].Dst, what)
			}
		})
	}
}

func wrongScopes(v variant, right Scope) map[string]Scope {
	all := map[string]Scope{}
	for bit := range 128 {
		sc := right
		sc.Volume[bit/8] ^= 1 << (bit % 8)
		all[fmt.Sprintf("volume bit %d", bit)] = sc
		if v.suite.Encrypted() {
			sc = right
			sc.Key[bit/8] ^= 1 << (bit % 8)
			all[fmt.Sprintf("key ID bit %d", bit)] = sc
		}
	}
	for bit := range 256 {
		if v.suite.Encrypted() {
			sc := right
			sc.Salt[bit/8] ^= 1 << (bit % 8)
			all[fmt.Sprintf("salt bit %d", bit)] = sc
		}
	}
	for bit := range 32 {
		sc := right
		sc.Epoch ^= 1 << bit
		all[fmt.Sprintf("epoch bit %d", bit)] = sc
		if sc = right; sc.Domain^1<<bit != 0 {
			sc.Domain ^= 1 << bit
			all[fmt.Sprintf("domain bit %d", bit)] = sc
		}
	}
	return all
}

// A block sealed by one suite, key length or key does not open under another.
func TestOtherSuiteOrKey(t *testing.T) {
	for _, sealed := range variants() {
		for _, opened := range variants() {
			if sealed == opened {
				continue
			}
			t.Run(sealed.String()+" as "+opened.String(), func(t *testing.T) {
				batch := []Block{sealOne(t, sealed, testScope(sealed), 64)}
				require.ErrorIs(t, newCipher(t, opened, testScope(opened)).Open(batch), fault.Tampered)
			})
		}
		if sealed.suite.Encrypted() {
			t.Run(sealed.String()+" under other key bytes", func(t *testing.T) {
				sc := testScope(sealed)
				batch := []Block{sealOne(t, sealed, sc, 64)}
				c, err := New(sealed.suite, testKey(t, sc.Key, 2, sealed.bits), sc)
				require.NoError(t, err)
				defer c.Close()
				require.ErrorIs(t, c.Open(batch), fault.Tampered)
			})
		}
	}
}

// Units moved within a block, blocks cut short or swapped.
func TestMovedAndCut(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) {
			c := newCipher(t, v, testScope(v))
			batch, _ := plainBatch(2, 64, false)
			require.NoError(t, c.Seal(batch))
			turn(batch, false)
			swapped := batch[0]
			swapped.Src = append(bytes.Clone(batch[0].Src[16:32]), batch[0].Src[:16]...)
			swapped.Src = append(swapped.Src, batch[0].Src[32:]...)
			cut := batch[0]
			cut.Src, cut.Dst = cut.Src[:48], cut.Dst[:48]
			for name, b := range map[string]Block{
				"units swapped": swapped, "cut": cut,
				"record of another block": {Position: batch[0].Position, Src: batch[0].Src, Nonce: batch[1].Nonce, Tag: batch[1].Tag, CRC: batch[1].CRC},
				"whole other block":       {Position: batch[0].Position, Src: batch[1].Src, Nonce: batch[1].Nonce, Tag: batch[1].Tag, CRC: batch[1].CRC},
			} {
				b.Dst = make([]byte, len(b.Src))
				require.ErrorIs(t, c.Open([]Block{b}), fault.Tampered, name)
			}
		})
	}
}
