package aes

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// guarded returns memory between two pages that cannot be touched.
func guarded(t *testing.T, pages int) []byte {
	t.Helper()
	page := os.Getpagesize()
	whole, err := unix.Mmap(-1, 0, (pages+2)*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Munmap(whole) })
	require.NoError(t, unix.Mprotect(whole[:page], unix.PROT_NONE))
	require.NoError(t, unix.Mprotect(whole[(pages+1)*page:], unix.PROT_NONE))
	return whole[page : (pages+1)*page]
}

// TestGuardPages: buffers that begin or end at a page that cannot be touched. A read or write beyond them
// ends the test program.
func TestGuardPages(t *testing.T) {
	const lanes, pages = 33, 2
	src, dst := make([][]byte, lanes), make([][]byte, lanes)
	for i := range lanes {
		src[i], dst[i] = guarded(t, pages), guarded(t, pages)
		copy(src[i], random(uint64(i), len(src[i])))
	}
	forModes(t, func(t *testing.T, m mode, raw []byte, size int, op func([]Job)) {
		for n := 16; n <= 1200; n += 16 {
			many := 1
			if n%80 == 0 {
				many = lanes
			}
			jobs := make([]Job, many)
			for _, atEnd := range []bool{false, true} {
				for i := range jobs {
					at := 0
					if atEnd {
						at = len(src[i]) - n
					}
					jobs[i] = Job{Src: src[i][at : at+n], Dst: dst[i][at : at+n], IV: [16]byte{byte(i)}}
				}
				op(jobs)
				require.Equal(t, m.want(raw, size, &jobs[many-1]), jobs[many-1].Dst, "%d bytes", n)
			}
		}
	})
}
