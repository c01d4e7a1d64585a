package element

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// knownFault reports whether an error has one of the markers that a ciphertext can cause.
func knownFault(err error) bool {
	return errorIsAny(err, fault.NotFormat, fault.Version, fault.Damaged, fault.Tampered, fault.WrongKey, fault.NotActivated, fault.Usage, fault.Unsupported, fault.State)
}

// seedValues adds a value of each suite, and a stream.
func seedValues(f *testing.F, c *Cipher, add func(ciphertext []byte)) {
	id := c.ring.List()[0].ID
	for _, s := range allowed() {
		ct, err := c.EncryptWith(s, []byte("seed"), id, contextOf(s))
		require.NoError(f, err)
		add(ct)
	}
	add(stream(f, c, id, pattern(100), nil, StreamOptions{}))
	add(stream(f, c, id, pattern(2*small), nil, StreamOptions{Segment: small}))
	add(nil)
}

func FuzzParse(f *testing.F) {
	c, _ := newCipher(f, 256)
	seedValues(f, c, func(ct []byte) { f.Add(ct) })
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Parse(b)
		if err != nil {
			require.True(t, knownFault(err), "%v", err)
			require.Equal(t, Header{}, h)
			return
		}
		again := make([]byte, headerSize)
		putCommon(again, h.Kind, h.Suite, h.Key)
		require.Equal(t, again[:commonSize], b[:commonSize], "what is parsed is what is there")
		require.Equal(t, h.Kind == KindStream, h.Segment != 0)
	})
}

func FuzzDecodeText(f *testing.F) {
	c, _ := newCipher(f, 256)
	seedValues(f, c, func(ct []byte) { f.Add(EncodeText(ct)) })
	f.Fuzz(func(t *testing.T, text string) {
		b, err := DecodeText(text)
		if err != nil {
			require.True(t, errorIsAny(err, ErrNotElement, ErrDamaged), "%v", err)
			return
		}
		require.Equal(t, text, EncodeText(b))
	})
}

// Nothing but what was sealed opens.
func FuzzDecrypt(f *testing.F) {
	c, _ := newCipher(f, 256)
	seedValues(f, c, func(ct []byte) { f.Add(ct, []byte("patients.ssn")) })
	f.Fuzz(func(t *testing.T, ct, context []byte) {
		plain, err := c.Decrypt(ct, context)
		if err != nil {
			require.True(t, knownFault(err), "%v", err)
			require.Empty(t, plain)
			return
		}
		if h, err := Parse(ct); err != nil || h.Suite.Authenticated() {
			require.NoError(t, err)
			require.Equal(t, "seed", string(plain), "a forgery")
		}
	})
}

func FuzzStream(f *testing.F) {
	c, _ := newCipher(f, 256)
	seedValues(f, c, func(ct []byte) { f.Add(ct, uint16(3), uint16(1)) })
	f.Fuzz(func(t *testing.T, b []byte, chunk, at uint16) {
		var got []byte
		var src io.Reader = bytes.NewReader(b)
		if at%2 == 1 {
			src = bytes.NewBuffer(bytes.Clone(b)) // not taken from where it lies
		}
		r, err := NewReader(src, c, nil)
		if err == nil {
			buf := make([]byte, 1+chunk)
			for n := 0; err == nil; {
				n, err = r.Read(buf)
				got = append(got, buf[:n]...)
			}
			require.NoError(t, r.Close())
		}
		whole := err == io.EOF
		require.True(t, whole || knownFault(err), "%v", err)
		require.True(t, bytes.HasPrefix(pattern(2*small), got), "a forgery")

		ra, err := OpenReaderAt(bytes.NewReader(b), int64(len(b)), c, nil)
		if err != nil {
			require.False(t, whole, "one reader takes what the other refuses: %v", err)
			require.True(t, knownFault(err), "%v", err)
			return
		}
		defer ra.Close()
		p := make([]byte, chunk)
		n, err := ra.ReadAt(p, int64(at))
		require.True(t, err == nil || err == io.EOF || knownFault(err), "%v", err)
		if n > 0 {
			require.Equal(t, pattern(2 * small)[at:int(at)+n], p[:n])
		}
	})
}
