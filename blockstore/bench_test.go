package blockstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// Every benchmark runs each suite beside none, and beside a plain file where
// that does the same work. Sizes shrink under -short.

const benchBlock = 8192

func benchSize(full int64) int64 {
	if testing.Short() {
		return full / 64
	}
	return full
}

func benchStore(b *testing.B, suite Suite, size int64, change func(*Options)) (*Store, *dek.Keyring, string) {
	b.Helper()
	keys, _ := ring(b, 2)
	path := filepath.Join(b.TempDir(), "v")
	o := CreateOptions{Options: Options{AllowPlain: true}, Size: size, BlockSize: benchBlock, Suite: suite}
	if change != nil {
		change(&o.Options)
	}
	s, err := Create(path, keys, o)
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	return s, keys, path
}

// loaded writes all of the volume and checkpoints.
func loaded(b *testing.B, s *Store) {
	b.Helper()
	buf := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	f := s.File()
	for off := int64(0); off < s.Size(); off += int64(len(buf)) {
		_, _ = rng.Read(buf)
		_, err := f.WriteAt(buf[:min(int64(len(buf)), s.Size()-off)], off)
		require.NoError(b, err)
	}
	require.NoError(b, s.Checkpoint(context.Background()))
}

func eachSuite(b *testing.B, run func(b *testing.B, suite Suite)) {
	for _, suite := range []Suite{None, AESGCM, AESCBC, AESXTS} {
		b.Run(suite.String(), func(b *testing.B) { run(b, suite) })
	}
}

func BenchmarkRead(b *testing.B) {
	size := benchSize(256 << 20)
	for _, cached := range []bool{true, false} {
		for _, chunk := range []int{benchBlock, 512 << 10} {
			for _, order := range []string{"sequential", "random"} {
				name := fmt.Sprintf("cached=%v/%s/%dKiB", cached, order, chunk>>10)
				b.Run(name, func(b *testing.B) {
					b.Run("file", func(b *testing.B) { benchPlainRead(b, size, chunk, order) })
					eachSuite(b, func(b *testing.B, suite Suite) {
						s, _, _ := benchStore(b, suite, size, func(o *Options) {
							o.CacheBytes = 1
							if cached {
								o.CacheBytes = 2 * size
							}
						})
						loaded(b, s)
						benchReads(b, s.File(), size, chunk, order)
					})
				})
			}
		}
	}
}

type readerAt interface {
	ReadAt(p []byte, off int64) (int, error)
}

func benchReads(b *testing.B, f readerAt, size int64, chunk int, order string) {
	buf := make([]byte, chunk)
	n := size / int64(chunk)
	b.SetBytes(int64(chunk))
	b.ReportAllocs()
	rng := rand.New(rand.NewPCG(1, 1))
	var i int64
	for b.Loop() {
		at := i % n
		if order == "random" {
			at = rng.Int64N(n)
		}
		if _, err := f.ReadAt(buf, at*int64(chunk)); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func benchPlainRead(b *testing.B, size int64, chunk int, order string) {
	f := plainFile(b, size)
	benchReads(b, f, size, chunk, order)
}

func plainFile(b *testing.B, size int64) *os.File {
	f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = f.Close() })
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		_, err := f.WriteAt(buf, off)
		require.NoError(b, err)
	}
	require.NoError(b, f.Sync())
	return f
}

// BenchmarkCommit is one durable commit of one block, by 1 and 16 writers. The
// plain file writes the block in place and syncs: what a program without a
// journal does, which is not crash-safe.
func BenchmarkCommit(b *testing.B) {
	size := benchSize(64 << 20)
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			b.Run("file", func(b *testing.B) {
				f := plainFile(b, size)
				benchWriters(b, writers, size, func(block int64, page []byte) error {
					if _, err := f.WriteAt(page, block*benchBlock); err != nil {
						return err
					}
					return f.Sync()
				})
			})
			eachSuite(b, func(b *testing.B, suite Suite) {
				s, _, _ := benchStore(b, suite, size, nil)
				loaded(b, s)
				benchWriters(b, writers, size, func(block int64, page []byte) error {
					return s.Update(func(tx *Tx) error { return tx.Write(uint64(block), page) })
				})
			})
		})
	}
}

func benchWriters(b *testing.B, writers int, size int64, commit func(block int64, page []byte) error) {
	b.SetParallelism((writers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	if writers == 1 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	}
	b.SetBytes(benchBlock)
	b.ReportAllocs()
	page := make([]byte, benchBlock)
	var seed atomic.Uint64
	one := func(next func() bool) {
		rng := rand.New(rand.NewPCG(seed.Add(1), 1))
		for next() {
			if err := commit(rng.Int64N(size/benchBlock), page); err != nil {
				b.Error(err)
				return
			}
		}
	}
	if writers == 1 {
		one(b.Loop)
		return
	}
	b.ResetTimer() // RunParallel, unlike Loop, counts what was set up before
	b.RunParallel(func(pb *testing.PB) { one(pb.Next) })
}

// BenchmarkBatchWrite is one durable commit of 128 blocks.
func BenchmarkBatchWrite(b *testing.B) {
	size := benchSize(256 << 20)
	const batch = 128
	b.Run("file", func(b *testing.B) {
		f := plainFile(b, size)
		benchBatches(b, size, batch, func(off int64, data []byte) error {
			if _, err := f.WriteAt(data, off); err != nil {
				return err
			}
			return f.Sync()
		})
	})
	eachSuite(b, func(b *testing.B, suite Suite) {
		s, _, _ := benchStore(b, suite, size, nil)
		benchBatches(b, size, batch, func(off int64, data []byte) error {
			return s.Update(func(tx *Tx) error { _, err := tx.WriteAt(data, off); return err })
		})
	})
}

func benchBatches(b *testing.B, size int64, batch int, write func(off int64, data []byte) error) {
	data := make([]byte, batch*benchBlock)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var i int64
	n := size / int64(len(data))
	for b.Loop() {
		if err := write(i%n*int64(len(data)), data); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkConvert re-seals a whole volume; each block is written twice, once
// in the journal. The plain side copies a file of the size and syncs it.
func BenchmarkConvert(b *testing.B) {
	size := benchSize(256 << 20)
	b.Run("copy", func(b *testing.B) {
		f := plainFile(b, size)
		b.SetBytes(size)
		for b.Loop() {
			benchCopy(b, f, size)
		}
	})
	for _, suite := range []Suite{AESGCM, AESCBC, AESXTS} {
		b.Run("rekey-"+suite.String(), func(b *testing.B) {
			s, keys, _ := benchStore(b, suite, size, nil)
			loaded(b, s)
			b.SetBytes(size)
			for b.Loop() {
				k, err := dek.Generate(256)
				require.NoError(b, err)
				require.NoError(b, keys.Activate(k, dek.Database, dek.Active))
				c, err := s.Convert(context.Background(), Conversion{Key: k.ID()})
				require.NoError(b, err)
				_, err = c.Wait()
				require.NoError(b, err)
			}
		})
	}
}

func benchCopy(b *testing.B, from *os.File, size int64) {
	to, err := os.Create(filepath.Join(b.TempDir(), "copy"))
	require.NoError(b, err)
	buf := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(buf)) {
		_, err := from.ReadAt(buf, off)
		require.NoError(b, err)
		_, err = to.WriteAt(buf, off)
		require.NoError(b, err)
	}
	require.NoError(b, to.Sync())
	require.NoError(b, to.Close())
	require.NoError(b, os.Remove(to.Name()))
}

// BenchmarkOpen opens a volume of 1 GiB, clean, read-only and read-write, and
// reports the memory an open volume holds.
func BenchmarkOpen(b *testing.B) {
	size := benchSize(1 << 30)
	s, keys, path := benchStore(b, AESGCM, size, nil)
	loaded(b, s)
	require.NoError(b, s.Close())
	for _, readOnly := range []bool{true, false} {
		b.Run(fmt.Sprintf("readonly=%v", readOnly), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(path, keys, &Options{ReadOnly: readOnly})
				require.NoError(b, err)
				require.NoError(b, s.Close())
			}
		})
	}
	b.Run("memory", func(b *testing.B) {
		var before, after runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			s, err := Open(path, keys, &Options{ReadOnly: true, CacheBytes: 1})
			require.NoError(b, err)
			_, err = s.Verify(context.Background(), VerifyOptions{}) // touches every tag block
			require.NoError(b, err)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))*float64(1<<30)/float64(size), "B/GiB")
			require.NoError(b, s.Close())
		}
	})
}
