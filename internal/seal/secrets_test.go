package seal

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
)

// What is kept between calls holds no plaintext, and nobody's buffers.
func TestScratchKeepsNoPlaintext(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop items at random")
	}
	for _, v := range variants() {
		c := newCipher(t, v, testScope(v))
		batch, plain := plainBatch(1, 4096, false)
		require.NoError(t, c.Seal(batch))
		turn(batch, false)
		require.NoError(t, c.Open(batch))
		s := c.(*sealer).pool.Get().(*scratch)
		require.Equal(t, v.suite.Encrypted() && fips.LibraryOnly(), s.buf != nil, "only the library needs a copy")
		for i := 0; i < len(plain[0]); i += BlockUnit {
			require.False(t, bytes.Contains(s.buf[:cap(s.buf)], plain[0][i:i+BlockUnit]), "%v unit %d", v, i)
		}
		for i := range runBlocks {
			g, m := &s.gcm[i], &s.macs[i]
			require.Equal(t, [6][]byte{}, [6][]byte{g.Dst, g.Src, g.AD, m.Dst, m.Src, m.AD}, "nobody's buffers")
		}
	}
}

func TestSubkeysAreWiped(t *testing.T) {
	c := newTestFrame(t, 256).(*frameCipher)
	work := c.work.(*keyedFrame)
	require.Len(t, work.chainKey.Bytes(), 32)
	c.Close()
	require.Nil(t, work.chainKey.Bytes())

	sc := testScope(variant{SuiteGCM, 256})
	d := deriver{key: testKey(t, sc.Key, 1, 256), scope: &sc, suite: SuiteGCM, salt: sc.Salt[:]}
	var lent []byte
	require.NoError(t, d.with("gcm", 32, func(subkey []byte) error {
		require.NotEqual(t, make([]byte, 32), subkey)
		lent = subkey
		return nil
	}))
	require.Equal(t, make([]byte, 32), lent, "wiped when given back") // nobody else asks for memory now
}
