package element

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

func TestRoundTrip(t *testing.T) {
	c, ids := newCipher(t, 128, 192, 256)
	for _, suite := range allowed() {
		for _, id := range ids {
			for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 33, 100, 4096, 65537} {
				plain := pattern(n)
				ct, err := c.EncryptWith(suite, plain, id, contextOf(suite))
				require.NoError(t, err)
				require.Len(t, ct, CiphertextLen(suite, n), "%v of %d bytes", suite, n)
				require.Equal(t, pattern(n), plain, "the plaintext is not changed")
				h, err := Parse(ct)
				require.NoError(t, err)
				require.Equal(t, Header{Version: 1, Kind: KindValue, Suite: suite, Key: id}, h)
				got, err := c.Decrypt(ct, contextOf(suite))
				require.NoError(t, err)
				require.NotNil(t, got)
				require.True(t, bytes.Equal(plain, got), "%v of %d bytes", suite, n)
				again, err := c.EncryptWith(suite, plain, id, contextOf(suite))
				require.NoError(t, err)
				require.Equal(t, suite == SIV, bytes.Equal(ct, again), "%v", suite)
			}
		}
	}
}

// Every alteration of every byte, and every cut, is an error, and gives nothing out.
func TestAlteredAndCut(t *testing.T) {
	c, ids := newCipher(t, 256)
	for _, suite := range allowed() {
		if !suite.Authenticated() {
			continue
		}
		ct, err := c.EncryptWith(suite, []byte("a secret of 20 bytes"), ids[0], contextOf(suite))
		require.NoError(t, err)
		dst := append(make([]byte, 0, 256), "before"...)
		for i := range ct {
			for _, bit := range []byte{1, 0x80} {
				bad := bytes.Clone(ct)
				bad[i] ^= bit
				out, err := c.AppendDecrypt(dst, bad, contextOf(suite))
				require.Error(t, err, "%v byte %d", suite, i)
				require.Equal(t, "before", string(out))
				require.False(t, bytes.Contains(dst[:cap(dst)], []byte("secret")), "plaintext stays behind")
				require.True(t, errorIsAny(err, markersOf(i, bad)...), "%v byte %d: %v", suite, i, err)
			}
		}
		for n := range ct {
			_, err := c.Decrypt(ct[:n], contextOf(suite))
			switch {
			case n < len(magic):
				require.ErrorIs(t, err, ErrNotElement)
			case n < headerSize:
				require.ErrorIs(t, err, ErrCut)
			default:
				require.True(t, errorIsAny(err, ErrCut, ErrTampered), "%v cut to %d: %v", suite, n, err)
			}
		}
		for _, context := range [][]byte{nil, []byte("patients.ssm"), []byte("patients.ssn.")} {
			_, err = c.Decrypt(ct, context)
			require.ErrorIs(t, err, ErrTampered)
			require.NotErrorIs(t, err, fault.WrongKey)
		}
		_, err = c.Decrypt(append(bytes.Clone(ct), 0), contextOf(suite))
		require.True(t, errorIsAny(err, ErrCut, ErrTampered), "%v", err)
	}
}

// markersOf says what an alteration of byte i may lead to; bad is what became of the header.
func markersOf(i int, bad []byte) []error {
	switch {
	case i < len(magic):
		return []error{ErrNotElement}
	case i == versionAt:
		return []error{ErrVersion}
	case i == kindAt:
		return []error{ErrDamaged, ErrCut}
	case i == suiteAt:
		return []error{ErrDamaged, ErrCut, ErrTampered, ErrWrongKey, ErrUsage, fault.Unsupported}
	case i >= keyAt && i < commonSize:
		return []error{ErrNotActivated}
	case i < headerSize && Suite(bad[suiteAt]).Authenticated():
		return []error{ErrTampered}
	}
	return []error{fault.Tampered}
}

func errorIsAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// Another suite, kind or place of the same key: nothing passes for another.
func TestNothingPassesForAnother(t *testing.T) {
	c, ids := newCipher(t, 256, 256)
	for _, suite := range allowed() {
		ct, err := c.EncryptWith(suite, pattern(64), ids[0], contextOf(suite))
		require.NoError(t, err)
		for _, as := range allowed() {
			if as == suite {
				continue
			}
			bad := bytes.Clone(ct)
			bad[suiteAt] = byte(as)
			_, err := c.Decrypt(bad, contextOf(as))
			require.Error(t, err)
			// The commitment of the other suite is public, too.
			other, err := c.EncryptWith(as, nil, ids[0], contextOf(as))
			require.NoError(t, err)
			copy(bad, other[:headerSize])
			_, err = c.Decrypt(bad, contextOf(as))
			require.Error(t, err, "%v read as %v", suite, as)
		}
		other, err := c.EncryptWith(suite, nil, ids[1], contextOf(suite))
		require.NoError(t, err)
		bad := append(bytes.Clone(other[:headerSize]), ct[headerSize:]...)
		if suite.Authenticated() {
			_, err = c.Decrypt(bad, contextOf(suite))
			require.ErrorIs(t, err, ErrTampered)
		}
	}
}

// Other key bytes under the same ID are told from alteration, under every suite.
func TestWrongKey(t *testing.T) {
	c, ids := newCipher(t, 256)
	other := dek.NewKeyring()
	k, err := dek.Import(ids[0], make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, other.Activate(k, dek.Element, dek.Active))
	c2, err := NewWithOptions(other, Options{AllowUnauthenticated: true})
	require.NoError(t, err)
	defer c2.Close()
	for _, suite := range allowed() {
		ct, err := c.EncryptWith(suite, []byte("x"), ids[0], contextOf(suite))
		require.NoError(t, err)
		_, err = c2.Decrypt(ct, contextOf(suite))
		require.ErrorIs(t, err, ErrWrongKey)
		require.ErrorIs(t, err, fault.WrongKey)
		require.ErrorIs(t, err, fault.Tampered)
		require.ErrorContains(t, err, ids[0].String())
	}
}

func TestUnauthenticatedMustBeAllowed(t *testing.T) {
	c, ids := newCipher(t, 128)
	ct, err := c.EncryptWith(CBCUnauthenticated, []byte("legacy"), ids[0], nil)
	require.NoError(t, err)
	strict, err := New(c.ring)
	require.NoError(t, err)
	defer strict.Close()
	_, err = strict.Decrypt(ct, nil)
	require.ErrorIs(t, err, ErrUnauthenticated)
	require.ErrorIs(t, err, fault.State)
	require.NotEmpty(t, fault.HintOf(err))
	_, err = strict.Rekey(ct, ids[0], nil)
	require.ErrorIs(t, err, ErrUnauthenticated)
	_, err = strict.EncryptWith(CBCUnauthenticated, nil, ids[0], nil)
	require.ErrorIs(t, err, ErrUnauthenticated)
	_, err = c.EncryptWith(CBCUnauthenticated, nil, ids[0], []byte("context"))
	require.ErrorIs(t, err, ErrUsage)
	_, err = c.Decrypt(ct, []byte("context"))
	require.ErrorIs(t, err, ErrUsage)
}

func TestRekey(t *testing.T) {
	c, ids := newCipher(t, 128, 256)
	for _, suite := range allowed() {
		ct, err := c.EncryptWith(suite, []byte("secret"), ids[0], contextOf(suite))
		require.NoError(t, err)
		was := bytes.Clone(ct)
		got, err := c.Rekey(ct, ids[1], contextOf(suite))
		require.NoError(t, err)
		require.Equal(t, was, ct)
		h, err := Parse(got)
		require.NoError(t, err)
		require.Equal(t, ids[1], h.Key)
		require.Equal(t, suite, h.Suite)
		plain, err := c.Decrypt(got, contextOf(suite))
		require.NoError(t, err)
		require.Equal(t, "secret", string(plain))
		if suite.Authenticated() {
			_, err = c.Rekey(ct, ids[1], []byte("elsewhere"))
			require.ErrorIs(t, err, ErrTampered)
			got, err = c.RekeyWith(GCM, ct, ids[1], contextOf(suite))
			require.NoError(t, err)
			require.Equal(t, byte(GCM), got[suiteAt])
		}
		_, err = c.Rekey(ct, dek.NewID(), contextOf(suite))
		require.ErrorIs(t, err, ErrNotActivated)
	}
	_, err := c.Rekey([]byte("nothing"), ids[0], nil)
	require.ErrorIs(t, err, ErrNotElement)
}

func TestKeysAndLeases(t *testing.T) {
	c, ids := newCipher(t, 128, 192, 256, 128)
	k, err := dek.Generate(256)
	require.NoError(t, err)
	require.ErrorIs(t, c.ring.Activate(k, dek.Element, dek.Active), dek.ErrKeyringFull)
	_, err = c.Encrypt(nil, k.ID(), nil)
	require.ErrorIs(t, err, ErrNotActivated)
	require.ErrorContains(t, err, k.ID().String())
	_, err = c.Encrypt(nil, dek.ID{}, nil)
	require.ErrorIs(t, err, ErrUsage)

	ct, err := c.Encrypt([]byte("x"), ids[0], nil)
	require.NoError(t, err)
	var held *dek.HeldError
	require.ErrorAs(t, c.ring.Deactivate(ids[0], dek.Element), &held)
	require.Equal(t, []string{"in use by data elements"}, held.Reasons)
	c.Forget(ids[0])
	c.Forget(ids[0])
	require.NoError(t, c.ring.Deactivate(ids[0], dek.Element))
	require.NoError(t, c.ring.Activate(k, dek.Element, dek.Active))
	_, err = c.Decrypt(ct, nil)
	require.ErrorIs(t, err, ErrNotActivated)

	ct, err = c.Encrypt([]byte("x"), k.ID(), nil)
	require.NoError(t, err)
	require.NoError(t, c.ring.SetMode(k.ID(), dek.Element, dek.DecryptOnly))
	_, err = c.Encrypt([]byte("x"), k.ID(), nil)
	require.ErrorIs(t, err, ErrDecryptOnly)
	_, err = c.Rekey(ct, k.ID(), nil)
	require.ErrorIs(t, err, ErrDecryptOnly)
	got, err := c.Decrypt(ct, nil)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
	_, err = c.Rekey(ct, ids[1], nil)
	require.NoError(t, err)

	c.Close()
	c.Close()
	_, err = c.Decrypt(ct, nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.Encrypt(nil, ids[1], nil)
	require.ErrorIs(t, err, ErrClosed)
}

func TestMisuse(t *testing.T) {
	_, err := New(nil)
	require.ErrorIs(t, err, ErrUsage)
	c, ids := newCipher(t, 128)
	for _, suite := range []Suite{0, suites} {
		_, err = c.EncryptWith(suite, nil, ids[0], nil)
		require.ErrorIs(t, err, ErrUsage)
	}
	_, err = c.Encrypt(nil, ids[0], make([]byte, MaxContext+1))
	require.ErrorIs(t, err, ErrUsage)
	_, err = c.Encrypt(make([]byte, MaxValue+1), ids[0], nil)
	require.ErrorIs(t, err, ErrUsage)
	ct, err := c.Encrypt([]byte("0123456789"), ids[0], make([]byte, MaxContext))
	require.NoError(t, err)
	_, err = c.Decrypt(ct, make([]byte, MaxContext+1))
	require.ErrorIs(t, err, ErrUsage)
	_, err = c.Decrypt(ct, make([]byte, MaxContext))
	require.NoError(t, err)

	buf := make([]byte, 10, 200)
	_, err = c.AppendEncrypt(buf[:0], buf, ids[0], nil)
	require.ErrorIs(t, err, ErrUsage)
	require.Equal(t, make([]byte, 200), buf[:200], "nothing was written")
	_, err = c.AppendDecrypt(ct[:0], ct, make([]byte, MaxContext))
	require.ErrorIs(t, err, ErrUsage)
}

func TestConcurrent(t *testing.T) {
	c, ids := newCipher(t, 128, 256)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			id := ids[g%2]
			for i := range 50 {
				suite := allowed()[i%len(allowed())]
				plain := fmt.Appendf(nil, "%d of %d", i, g)
				ct, err := c.EncryptWith(suite, plain, id, contextOf(suite))
				if err == nil {
					var got []byte
					if got, err = c.Decrypt(ct, contextOf(suite)); err == nil && !bytes.Equal(got, plain) {
						err = fmt.Errorf("%q came back", got)
					}
				}
				if err != nil {
					t.Errorf("%v", err)
				}
				if i%10 == g {
					c.Forget(id)
				}
			}
		})
	}
	wg.Wait()
}
