package aes

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestETMGuardPages: every buffer begins or ends at a page that cannot be touched.
func TestETMGuardPages(t *testing.T) {
	const lanes = 5
	var src, dst [lanes][]byte
	for i := range lanes {
		src[i], dst[i] = guarded(t, 1), guarded(t, 1)
		copy(src[i], random(uint64(i), len(src[i])))
	}
	ads := guarded(t, 1)
	copy(ads, random(99, len(ads)))
	forETM(t, func(t *testing.T, c *etmCase) {
		for n := 0; n <= 2100; n += 16 {
			for _, end := range []bool{false, true} {
				jobs := make([]MACJob, 1+n/16%lanes)
				for i := range jobs {
					jobs[i] = MACJob{Src: edge(src[i], n, end), Dst: edge(dst[i], n, end), AD: edge(ads, 16*(n/16%9), end), IV: [16]byte{byte(i)}}
				}
				c.SealBatch(jobs)
				last := &jobs[len(jobs)-1]
				plain := bytes.Clone(last.Src)
				ciphertext, tag := c.want(last)
				require.True(t, bytes.Equal(ciphertext, last.Dst), "%d bytes", n)
				require.Equal(t, tag, last.Tag[:], "%d bytes", n)
				for i := range jobs {
					jobs[i].Src, jobs[i].Dst = jobs[i].Dst, jobs[i].Src
				}
				require.True(t, c.OpenBatch(jobs))
				require.True(t, bytes.Equal(plain, last.Dst), "%d bytes", n)
			}
		}
	})
}
