package aes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The modes' vectors through the kernels that also authenticate: among other messages, long ones too,
// in both directions, with a tag that has to be right.

// throughETM seals the plaintext between two other messages, wants the ciphertext, and opens all.
func throughETM(t *testing.T, e etm, plain, ciphertext []byte, iv [BlockSize]byte) {
	t.Helper()
	jobs := make([]MACJob, 3)
	for i, src := range [][]byte{random(1, 1024), plain, random(2, 2048)} {
		jobs[i] = MACJob{Dst: make([]byte, len(src)), Src: src, AD: random(3, 64), IV: iv, Nonce: [NonceSize]byte{byte(i)}}
	}
	e.SealBatch(jobs)
	require.Equal(t, ciphertext, jobs[1].Dst)
	for i := range jobs {
		jobs[i].Src, jobs[i].Dst = jobs[i].Dst, make([]byte, len(jobs[i].Src))
	}
	require.True(t, e.OpenBatch(jobs))
	require.Equal(t, plain, jobs[1].Dst)
}

func TestCAVPXTSGMAC(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n := cavp(t, "xts_*.rsp", func(_ string, get func(string) []byte) {
			raw := get("Key")
			x, err := NewXTSGMAC(raw[:len(raw)/2], raw[len(raw)/2:], random(1, len(raw)/2))
			require.NoError(t, err)
			defer x.Close()
			throughETM(t, x, get("PT"), get("CT"), [BlockSize]byte(get("i")))
		})
		t.Logf("%d cases run", n)
		require.Equal(t, 160, n)
	})
}

func TestCAVPCBCGMAC(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n := cavp(t, "cbc_*.rsp", func(_ string, get func(string) []byte) {
			c, err := NewCBCGMAC(get("KEY"), random(1, len(get("KEY"))))
			require.NoError(t, err)
			defer c.Close()
			throughETM(t, c, get("PLAINTEXT"), get("CIPHERTEXT"), [BlockSize]byte(get("IV")))
		})
		t.Logf("%d cases run", n)
		require.Equal(t, 144, n)
	})
}

// The GMAC's vectors: additional data alone, nothing encrypted.
func TestCAVPGMACOfETM(t *testing.T) {
	tiers(t, func(t *testing.T, _ Tier) {
		n, refused := 0, 0
		cavp(t, "gcm_decrypt_*.rsp", func(_ string, get func(string) []byte) {
			if len(get("CT")) > 0 {
				return
			}
			n++
			key := get("Key")
			c, err := NewCBCGMAC(random(1, len(key)), key)
			require.NoError(t, err)
			all, want := []etm{c}, false
			if len(key) != 24 {
				x, err := NewXTSGMAC(random(1, len(key)), random(2, len(key)), key)
				require.NoError(t, err)
				all = append(all, x)
			}
			for i, e := range all {
				job := []MACJob{{AD: get("AAD"), Nonce: [NonceSize]byte(get("IV")), Tag: [TagSize]byte(get("Tag"))}}
				ok := e.OpenBatch(job)
				if i == 0 {
					want = ok
				}
				require.Equal(t, want, ok)
				if ok {
					require.Empty(t, get("PT")) // which false cases do not have
				} else if i == 0 {
					refused++
				}
				e.Close()
			}
		})
		t.Logf("%d cases run, %d refused", n, refused)
		require.Equal(t, 45, n)
		require.Equal(t, 22, refused) // lines FAIL in the files
	})
}
