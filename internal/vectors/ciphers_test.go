package vectors

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/seal"
)

// Nonces have 96 bits here; other lengths are left out.
func TestAESGCM(t *testing.T) {
	run(t, "aes_gcm_test.json", counts{Valid: 116, Invalid: 81, LeftOut: 119}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		if len(c.IV) != seal.NonceSize {
			return leftOut
		}
		g, err := seal.NewRawGCM(c.Key)
		require.NoError(t, err)
		plain, ok := g.Open(c.IV, c.CT, c.Tag, c.AAD)
		if !ok {
			require.Equal(t, make([]byte, len(c.CT)), plain)
			return refused
		}
		require.True(t, bytes.Equal(c.Msg, plain))
		ct, tag := g.Seal(c.IV, c.Msg, c.AAD)
		require.True(t, bytes.Equal(c.CT, ct))
		return equal(t, c, c.Tag, tag)
	})
}

func TestAESGMAC(t *testing.T) {
	run(t, "aes_gmac_test.json", counts{Valid: 45, Invalid: 162, LeftOut: 207}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		if len(c.IV) != seal.NonceSize {
			return leftOut
		}
		m, err := seal.NewRawGMAC(c.Key)
		require.NoError(t, err)
		tag := make([]byte, seal.TagSize)
		m.Sum(tag, c.IV, c.Msg)
		v := equal(t, c, c.Tag, tag)
		require.Equal(t, v == accepted, m.Verify(c.Tag, c.IV, c.Msg))
		return v
	})
}

// Blocks are whole units and never padded; the padding of these vectors is put
// on and checked here, so that both directions of the raw mode run.
func TestAESCBC(t *testing.T) {
	run(t, "aes_cbc_pkcs5_test.json", counts{Valid: 72, Invalid: 144, LeftOut: 0}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		cbc, err := seal.NewRawCBC(c.Key)
		require.NoError(t, err)
		if len(c.CT) == 0 || len(c.CT)%16 != 0 {
			return refused
		}
		plain := make([]byte, len(c.CT))
		cbc.Decrypt(plain, c.CT, c.IV)
		back := make([]byte, len(c.CT))
		cbc.Encrypt(back, plain, c.IV)
		require.True(t, bytes.Equal(c.CT, back))
		n := int(plain[len(plain)-1])
		if n == 0 || n > 16 || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(n)}, n)) {
			return refused
		}
		return equal(t, c, c.Msg, plain[:len(plain)-n])
	})
}

// No 192-bit form and no ciphertext stealing here; short tweaks are numbers,
// little-endian.
func TestAESXTS(t *testing.T) {
	run(t, "aes_xts_test.json", counts{Valid: 42, Invalid: 0, LeftOut: 81}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		if len(c.Msg)%16 != 0 || len(c.Key) == 48 {
			return leftOut
		}
		x, err := seal.NewRawXTS(c.Key[:len(c.Key)/2], c.Key[len(c.Key)/2:])
		require.NoError(t, err)
		var tweak [16]byte
		copy(tweak[:], c.IV)
		out := make([]byte, len(c.Msg))
		x.Decrypt(out, c.CT, tweak)
		require.True(t, bytes.Equal(c.Msg, out))
		x.Encrypt(out, c.Msg, tweak)
		return equal(t, c, c.CT, out)
	})
}

// Secrets shorter than 16 bytes ("acceptable") are refused: SP 800-38F.
func TestAESKeyWrap(t *testing.T) {
	run(t, "aes_wrap_test.json", counts{Valid: 36, Invalid: 129, LeftOut: 0}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		mem, err := dek.Unwrap(c.Key, c.CT)
		if err != nil {
			if c.Result == "acceptable" {
				_, err := dek.Wrap(c.Key, c.Msg)
				require.Error(t, err)
			}
			return refused
		}
		defer mem.Release()
		require.True(t, bytes.Equal(c.Msg, mem.Bytes()))
		out, err := dek.Wrap(c.Key, c.Msg)
		require.NoError(t, err)
		return equal(t, c, c.CT, out)
	})
}
