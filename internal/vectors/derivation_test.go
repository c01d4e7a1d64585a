package vectors

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

func TestPBKDF2HMACSHA512(t *testing.T) {
	run(t, "pbkdf2_hmacsha512_test.json", counts{Valid: 58, Invalid: 0, LeftOut: 0}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		dk, err := pbkdf2.Key(sha512.New, string(c.Password), c.Salt, c.IterationCount, c.DKLen)
		if err != nil {
			return refused
		}
		return equal(t, c, c.DK, dk)
	})
}

// Inputs as long as a key of Coffer's go through dek.Key.Derive as well.
func TestHKDFSHA256(t *testing.T) {
	asKey := 0
	run(t, "hkdf_sha256_test.json", counts{Valid: 83, Invalid: 3, LeftOut: 0}, func(t *testing.T, _ *testGroup, c *testCase) verdict {
		okm, err := hkdf.Key(sha256.New, c.IKM, c.Salt, string(c.Info), c.Size)
		if dek.ValidBits(len(c.IKM) * 8) {
			asKey++
			key, keyErr := dek.Import(dek.NewID(), c.IKM)
			require.NoError(t, keyErr)
			defer key.Destroy()
			derived := make([]byte, c.Size)
			require.Equal(t, err == nil, key.Derive(derived, c.Salt, string(c.Info)) == nil)
			if err == nil {
				require.Equal(t, okm, derived)
			}
		}
		if err != nil {
			return refused
		}
		return equal(t, c, c.OKM, okm)
	})
	require.Equal(t, 60, asKey)
}

// Groups with 128-bit tags take the first half.
func TestHMACSHA256(t *testing.T) {
	run(t, "hmac_sha256_test.json", counts{Valid: 66, Invalid: 108, LeftOut: 0}, func(t *testing.T, g *testGroup, c *testCase) verdict {
		h := hmac.New(sha256.New, c.Key)
		h.Write(c.Msg)
		return equal(t, c, c.Tag, h.Sum(nil)[:g.TagSize/8])
	})
}
