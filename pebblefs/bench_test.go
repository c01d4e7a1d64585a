package pebblefs

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// BenchmarkReadAt reads blocks at random places of a table, beside the same from a plain file.
func BenchmarkReadAt(b *testing.B) {
	const tableSize = 32 << 20
	for _, size := range []int{1000, 4500, 32 << 10} {
		for _, name := range []string{"coffer", "plain"} {
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				f := benchFile(b, name, tableSize)
				rng := rand.New(rand.NewPCG(1, 1))
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_, err := f.ReadAt(p, rng.Int64N(int64(tableSize-size)))
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkScan reads a table in blocks, one after the other.
func BenchmarkScan(b *testing.B) {
	const tableSize, size = 4 << 20, 4500
	for _, name := range []string{"coffer", "plain"} {
		b.Run(name, func(b *testing.B) {
			f := benchFile(b, name, tableSize)
			p := make([]byte, size)
			b.SetBytes(tableSize)
			b.ReportAllocs()
			for b.Loop() {
				for off := int64(0); off < tableSize-size; off += size {
					_, err := f.ReadAt(p, off)
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func benchFS(b *testing.B, name string) vfs.FS {
	if name == "plain" {
		return vfs.Default
	}
	ring, _ := testRing(b, 1)
	fs, err := New(vfs.Default, ring, nil)
	if err != nil {
		b.Fatal(err)
	}
	return fs
}

func benchFile(b *testing.B, name string, size int) io.ReaderAt {
	fs, path := benchFS(b, name), filepath.Join(b.TempDir(), "000001.sst")
	w, err := fs.Create(path, "bench")
	if err != nil {
		b.Fatal(err)
	}
	_, err = w.Write(make([]byte, size))
	if err != nil {
		b.Fatal(err)
	}
	require.NoError(b, w.Sync())
	require.NoError(b, w.Close())
	f, err := fs.Open(path, vfs.RandomReadsOption)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkWrite appends as Pebble's table writers do, 4 KiB at a time.
func BenchmarkWrite(b *testing.B) {
	const size = 4 << 20
	for _, name := range []string{"coffer", "plain"} {
		b.Run(name, func(b *testing.B) {
			fs, path := benchFS(b, name), filepath.Join(b.TempDir(), "000001.sst")
			p := make([]byte, 4096)
			b.SetBytes(size)
			for b.Loop() {
				w, err := fs.Create(path, "bench")
				if err != nil {
					b.Fatal(err)
				}
				for range size / len(p) {
					_, err = w.Write(p)
					if err != nil {
						b.Fatal(err)
					}
				}
				require.NoError(b, w.Close())
			}
		})
	}
}
