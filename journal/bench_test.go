package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// BenchmarkCommit measures durable commits of one record, by 1 and by 16
// writers: a plain and an encrypted journal, and a file filled with zeros whose
// writers each write as many bytes and sync.
func BenchmarkCommit(b *testing.B) {
	ring, ids := keys(b, 1)
	for _, size := range []int{512, 8192} {
		for _, writers := range []int{1, 16} {
			name := fmt.Sprintf("size=%d/writers=%d/", size, writers)
			b.Run(name+"file", func(b *testing.B) { commitFile(b, size, writers) })
			b.Run(name+"plain", func(b *testing.B) { commitJournal(b, size, writers, ring, dek.ID{}) })
			b.Run(name+"aes-256", func(b *testing.B) { commitJournal(b, size, writers, ring, ids[0]) })
		}
	}
}

func commitJournal(b *testing.B, size, writers int, ring *dek.Keyring, key dek.ID) {
	o := Options{Dir: filepath.Join(b.TempDir(), "v.journal"), Keys: ring, Volume: testVolume, Stream: testStream}
	j := start(b, o, key)
	var done atomic.Int64
	commits(b, size, writers, func(record []byte) error {
		seq, err := j.Append(record)
		if err == nil {
			err = j.Wait(bg, seq)
		}
		if n := done.Add(1); err == nil && n%4096 == 0 {
			err = j.Release(bg, j.Durable(), false)
		}
		return err
	})
	require.NoError(b, j.Close(bg))
}

func commitFile(b *testing.B, size, writers int) {
	f, err := fsx.OS().Open(filepath.Join(b.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(b, err)
	defer f.Close()
	const length = DefaultSegmentBytes
	require.NoError(b, writeZeros(f, 0, length))
	require.NoError(b, f.Sync())
	unit := roundUp(int64(size)+frameHeaderSize, DefaultUnit)
	var next atomic.Int64
	pool := sync.Pool{New: func() any { b := make([]byte, unit); return &b }}
	commits(b, size, writers, func(record []byte) error {
		buf := pool.Get().(*[]byte)
		defer pool.Put(buf)
		out := *buf
		copy(out[frameHeaderSize:], record)
		off := (next.Add(unit) - unit) % (length - length%unit)
		if _, err := f.WriteAt(out, off); err != nil {
			return err
		}
		return f.SyncData()
	})
}

// commits shares b.N commits among writers and reports the 99th percentile of their times.
func commits(b *testing.B, size, writers int, commit func([]byte) error) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var left atomic.Int64
	left.Store(int64(b.N))
	times := make([][]time.Duration, writers)
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			record := make([]byte, size)
			for left.Add(-1) >= 0 {
				begin := time.Now()
				if err := commit(record); err != nil {
					b.Error(err)
					return
				}
				times[w] = append(times[w], time.Since(begin))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(times...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
	}
}

// BenchmarkRecover reads 14 MiB of records of 8 KiB.
func BenchmarkRecover(b *testing.B) {
	ring, ids := keys(b, 1)
	for name, key := range map[string]dek.ID{"plain": {}, "aes-256": ids[0]} {
		b.Run(name, func(b *testing.B) {
			o, _ := memOptions(b, ring)
			o.SegmentBytes = DefaultSegmentBytes
			j := start(b, o, key)
			record := make([]byte, 8192)
			const count = 14 << 20 / 8192
			for range count {
				_, err := j.Append(record)
				require.NoError(b, err)
			}
			require.NoError(b, j.Close(bg))
			b.SetBytes(count * 8192)
			b.ReportAllocs()
			for b.Loop() {
				r, err := Recover(bg, o, floor(key), func(Frame) error { return nil })
				require.NoError(b, err)
				require.NoError(b, r.Close())
			}
		})
	}
}

// sinkFS drops what is written, so that only the journal's own work is left.
type sinkFS struct{ fsx.FS }

type sinkFile struct{ fsx.File }

func (s sinkFS) Open(name string, flag int, perm os.FileMode) (fsx.File, error) {
	f, err := s.FS.Open(name, flag, perm)
	return sinkFile{f}, err
}

func (sinkFile) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (sinkFile) SyncData() error                        { return nil }

// A commit in steady state allocates next to nothing.
func TestAllocationsPerCommit(t *testing.T) {
	ring, ids := keys(t, 1)
	for name, key := range map[string]dek.ID{"plain": {}, "encrypted": ids[0]} {
		t.Run(name, func(t *testing.T) {
			o, m := memOptions(t, ring)
			o.FS, o.SegmentBytes = sinkFS{m}, 64<<20
			j := start(t, o, key)
			require.NoError(t, j.fill(j.segs[0].slots[0], o.SegmentBytes))
			record := make([]byte, 4000)
			n := testing.AllocsPerRun(1000, func() {
				seq, err := j.Append(record)
				if err == nil {
					err = j.Wait(bg, seq)
				}
				if err != nil {
					t.Fatal(err)
				}
			})
			t.Logf("%v allocations", n)
			if !raceEnabled {
				require.LessOrEqual(t, n, 4.0)
			}
		})
	}
}
