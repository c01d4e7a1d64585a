package blockstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// history is what a volume's commits did, by number; block 0 says which was the
// last. A restored volume must hold exactly the first so many of them.
type history struct {
	mu      sync.Mutex
	commits []commitOf // guarded by the writer's lock of the store and mu
}

type commitOf struct {
	writes map[uint64]uint64 // block → seed; 0 is a hole
	size   int64
}

// step makes one commit.
func (h *history) step(s *Store, rng *rand.Rand, resize bool) error {
	return s.Update(func(tx *Tx) error {
		c := commitOf{map[uint64]uint64{}, int64(tx.Blocks()) * 4096}
		if resize && rng.IntN(8) == 0 {
			c.size = int64(200+rng.IntN(600)) * 4096
			if err := tx.Resize(c.size); err != nil {
				return err
			}
		}
		for range 1 + rng.IntN(12) {
			b := 1 + rng.Uint64N(uint64(c.size/4096)-1)
			if rng.IntN(6) == 0 {
				c.writes[b] = 0
				if err := tx.Trim(b, 1); err != nil {
					return err
				}
				continue
			}
			seed := 1 + rng.Uint64()>>1
			c.writes[b] = seed
			if err := tx.Write(b, page(seed)); err != nil {
				return err
			}
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.commits = append(h.commits, c)
		n := make([]byte, 4096)
		binary.LittleEndian.PutUint64(n, uint64(len(h.commits)))
		return tx.Write(0, n)
	})
}

func (h *history) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.commits)
}

// holds checks that a volume is as of one of the commits, and returns its number.
func (h *history) holds(t testing.TB, s *Store) int {
	t.Helper()
	n := int(binary.LittleEndian.Uint64(read1(t, s, 0)))
	h.mu.Lock()
	defer h.mu.Unlock()
	require.LessOrEqual(t, n, len(h.commits))
	want := map[uint64]uint64{}
	size := s.Size()
	for _, c := range h.commits[:n] {
		for b := range want {
			if int64(b)*4096 >= c.size {
				delete(want, b)
			}
		}
		for b, seed := range c.writes {
			want[b] = seed
		}
		size = c.size
	}
	require.Equal(t, size, s.Size())
	require.NoError(t, s.View(func(tx *Tx) error {
		for b := uint64(1); b < tx.Blocks(); b++ {
			got, err := tx.Read(b)
			if err != nil {
				return err
			}
			exp := make([]byte, 4096)
			if seed := want[b]; seed != 0 {
				exp = page(seed)
			}
			if !bytes.Equal(exp, got) {
				return fmt.Errorf("block %d is not as of commit %d", b, n)
			}
		}
		return nil
	}))
	return n
}

func restoreOptions(fs fsx.FS) *RestoreOptions { return &RestoreOptions{Options: testOptions(fs)} }

// restored restores a backup and opens the volume.
func restored(t testing.TB, fs fsx.FS, keys *dek.Keyring, from, to string, o *RestoreOptions) *Store {
	t.Helper()
	if o == nil {
		o = restoreOptions(fs)
	}
	_, err := Restore(context.Background(), from, to, keys, o)
	require.NoError(t, err)
	opt := testOptions(fs)
	s, err := Open(to, keys, &opt)
	require.NoError(t, err)
	return s
}

// under runs do while n goroutines commit.
func under(t testing.TB, s *Store, h *history, n int, resize bool, do func()) {
	t.Helper()
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 99))
			for !stop.Load() {
				if err := h.step(s, rng, resize); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	do()
	stop.Store(true)
	wg.Wait()
}

func TestBackupUnderLoad(t *testing.T) {
	for _, suite := range []Suite{AESGCM, AESXTS, None} {
		for _, resize := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v resize=%v", suite, resize), func(t *testing.T) {
				fs := fsx.NewMem(1)
				keys, _ := ring(t, 1)
				o := testOptions(fs)
				o.CheckpointBytes = 512 << 10
				s, err := Create("v", keys, CreateOptions{Options: o, Size: 500 * 4096, BlockSize: 4096, Suite: suite})
				require.NoError(t, err)
				h := new(history)
				rng := rand.New(rand.NewPCG(7, 7))
				for range 50 {
					require.NoError(t, h.step(s, rng, resize))
				}
				var least []int
				under(t, s, h, 3, resize, func() {
					for i := range 4 {
						for h.len() < 100*(i+1) {
							require.NoError(t, s.Sync(context.Background()))
						}
						least = append(least, h.len()-3)
						base := ""
						if i > 0 {
							base = fmt.Sprintf("/b%d", i-1)
						}
						info, err := s.BackupTo(context.Background(), fmt.Sprintf("/b%d", i), BackupOptions{Base: base})
						require.NoError(t, err)
						require.Equal(t, i == 0, info.Base.IsZero())
					}
				})
				have, err := s.Backups()
				require.NoError(t, err)
				require.Len(t, have, 4)
				for i := range 4 {
					for _, k := range []*dek.Keyring{keys, nil} {
						rep, err := VerifyBackup(context.Background(), fmt.Sprintf("/b%d", i), k, &o, VerifyOptions{})
						require.NoError(t, err)
						require.NoError(t, rep.Err())
					}
					r := restored(t, fs, keys, fmt.Sprintf("/b%d", i), fmt.Sprintf("r%d", i), nil)
					require.GreaterOrEqual(t, h.holds(t, r), least[i])
					require.NoError(t, new(history).step(r, rng, false)) // it takes writes
					verified(t, r)
				}
				verified(t, s)
			})
		}
	}
}

func exists(fs fsx.FS, name string) bool {
	_, err := fs.Stat(name)
	return err == nil
}

func read(t testing.TB, fs fsx.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name, os.O_RDONLY, 0)
	require.NoError(t, err)
	size, err := f.Size()
	require.NoError(t, err)
	b := make([]byte, size)
	require.NoError(t, errors.Join(readFull(f, b, 0), f.Close()))
	return b
}
