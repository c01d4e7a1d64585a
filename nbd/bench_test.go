package nbd

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

// BenchmarkVolume: requests to a volume on disk over a unix socket, eight at a time. coffer bench nbd has the baseline.
func BenchmarkVolume(b *testing.B) {
	const size = 64 << 20
	for _, op := range []string{"read", "write"} {
		for _, n := range []int{4096, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%d", op, n), func(b *testing.B) {
				keys, _ := ring(b, 1)
				dir, err := os.MkdirTemp("", "nbd")
				require.NoError(b, err)
				defer os.RemoveAll(dir)
				s, err := blockstore.Create(filepath.Join(dir, "v"), keys, blockstore.CreateOptions{Size: size, BlockSize: 4096})
				require.NoError(b, err)
				v := serve(b, Volume(s), Options{})
				c := v.dial(nbdclient.Options{Structured: true})
				for off := int64(0); off < size; off += 1 << 20 {
					require.NoError(b, c.WriteAt(make([]byte, 1<<20), off, 0))
				}
				b.SetBytes(int64(n))
				b.ReportAllocs()
				b.SetParallelism(8)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					buf := make([]byte, n)
					for pb.Next() {
						at := rand.Int64N(size/int64(n)) * int64(n)
						if op == "write" {
							err = c.WriteAt(buf, at, 0)
						} else {
							_, err = c.ReadAt(buf, at)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.StopTimer()
				require.NoError(b, c.Disconnect())
				v.end()
				require.NoError(b, s.Close())
			})
		}
	}
}
