package seal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// A variant is a suite with a key length.
type variant struct {
	suite Suite
	bits  int
}

func (v variant) String() string { return fmt.Sprintf("%v-%d", v.suite, v.bits) }

// variants lists every valid pair that may be sealed under: in FIPS mode not all.
func variants() (all []variant) {
	for _, s := range Suites() {
		for _, bits := range []int{0, 128, 192, 256} {
			if s.Valid(bits) == nil && s.Allowed(true) == nil {
				all = append(all, variant{s, bits})
			}
		}
	}
	return all
}

// chacha returns bytes that a seed reproduces.
func chacha(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = chacha(seed).Read(b)
	return b
}

// testKey returns a key of bits, or nil for 0; the same bytes for the same seed.
func testKey(tb testing.TB, id dek.ID, seed byte, bits int) *dek.Key {
	tb.Helper()
	if bits == 0 {
		return nil
	}
	k, err := dek.Import(id, random(seed, bits/8))
	require.NoError(tb, err)
	tb.Cleanup(k.Destroy)
	return k
}

func testScope(v variant) Scope {
	sc := Scope{Domain: DomainVolume, Epoch: 7}
	copy(sc.Volume[:], random(11, 16))
	if v.suite.Encrypted() {
		copy(sc.Key[:], random(12, 16))
		copy(sc.Salt[:], random(13, 32))
	}
	return sc
}

// newCipher returns a cipher of v over sc, with the test's key under sc.Key.
func newCipher(tb testing.TB, v variant, sc Scope) Cipher {
	tb.Helper()
	c, err := New(v.suite, testKey(tb, sc.Key, 1, v.bits), sc)
	require.NoError(tb, err)
	tb.Cleanup(c.Close)
	return c
}

// plainBatch returns n blocks of random plaintext, in place or not.
func plainBatch(n, size int, inPlace bool) (batch []Block, plain [][]byte) {
	r := chacha(99)
	for i := range n {
		p := make([]byte, size)
		_, _ = r.Read(p)
		plain = append(plain, p)
		b := Block{Position: uint64(i)<<40 | uint64(i+3), Src: bytes.Clone(p)}
		if b.Dst = b.Src; !inPlace {
			b.Dst = make([]byte, size)
		}
		batch = append(batch, b)
	}
	return batch, plain
}

// turn makes a sealed batch ready for opening, in place or not.
func turn(batch []Block, inPlace bool) {
	for i := range batch {
		b := &batch[i]
		b.Src = bytes.Clone(b.Dst)
		if b.Dst = b.Src; !inPlace {
			b.Dst = bytes.Repeat([]byte{0xee}, len(b.Src))
		}
	}
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(tb, err)
	return b
}

// needTool returns the path of a program the test cannot do without.
func needTool(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, install)
	}
	return path
}

// missing skips the test, or fails it with CI=true, and says what to install.
func missing(t *testing.T, what, install string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: %s", what, install)
	}
	t.Skipf("%s is missing: %s", what, install)
}
