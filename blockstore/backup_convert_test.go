package blockstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// gateWriter calls a function once, when so many bytes were written.
type gateWriter struct {
	w     io.Writer
	after int64
	do    func()
}

func (g *gateWriter) Write(b []byte) (int, error) {
	if g.after -= int64(len(b)); g.after < 0 && g.do != nil {
		do := g.do
		g.do = nil
		do()
	}
	return g.w.Write(b)
}

// backupWhile makes a backup into a file of fs, and does do in the middle of it, when the groups are half written.
func backupWhile(t testing.TB, fs fsx.FS, s *Store, path, base string, after int64, do func()) *BackupInfo {
	t.Helper()
	var info *BackupInfo
	require.NoError(t, fsx.Create(fs, path, 0o600, func(f fsx.File) (err error) {
		info, err = s.Backup(context.Background(), &gateWriter{&fileWriter{f: f}, after, do}, BackupOptions{Base: base})
		return err
	}))
	return info
}

// A backup is of one state whatever goes on while it is made, and needs the keys it names.
func TestBackupDuringConversions(t *testing.T) {
	type scene struct {
		name  string
		suite Suite
		do    func(t *testing.T, s *Store, ids []dek.ID) *Converter
	}
	convert := func(c Conversion) func(*testing.T, *Store, []dek.ID) *Converter {
		return func(t *testing.T, s *Store, ids []dek.ID) *Converter {
			if c.Suite != None {
				c.Key = ids[1]
			}
			v, err := s.Convert(context.Background(), c)
			require.NoError(t, err)
			require.Eventually(t, func() bool { st := v.Progress().State; return st == "waiting for a backup" || st == "done" }, 10*time.Second, time.Millisecond)
			require.Equal(t, "waiting for a backup", v.Progress().State)
			return v
		}
	}
	scenes := []scene{
		{"re-key", AESGCM, convert(Conversion{})},
		{"re-key to another suite", AESCBC, convert(Conversion{Suite: AESGCM})},
		{"encrypt", None, convert(Conversion{Suite: AESGCM})},
		{"decrypt", AESGCM, convert(Conversion{Suite: None})},
		{"re-key, turned around", AESGCM, func(t *testing.T, s *Store, ids []dek.ID) *Converter {
			v, err := s.Convert(context.Background(), Conversion{Key: ids[1]})
			require.NoError(t, err)
			v.Stop()
			v, err = s.Convert(context.Background(), Conversion{Back: true})
			require.NoError(t, err)
			return v
		}},
		{"journal key", AESGCM, func(t *testing.T, s *Store, ids []dek.ID) *Converter {
			require.NoError(t, s.SetJournalKey(context.Background(), ids[1]))
			require.NoError(t, s.Checkpoint(context.Background()))
			return nil
		}},
		{"truncation", AESGCM, func(t *testing.T, s *Store, _ []dek.ID) *Converter {
			require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(100 * 4096) }))
			require.NoError(t, s.Checkpoint(context.Background()))
			return nil
		}},
		{"growth", AESGCM, func(t *testing.T, s *Store, _ []dek.ID) *Converter {
			require.NoError(t, s.Update(func(tx *Tx) error {
				if err := tx.Resize(40000 * 4096); err != nil {
					return err
				}
				return tx.Write(39999, page(39999))
			}))
			require.NoError(t, s.Checkpoint(context.Background()))
			return nil
		}},
	}
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			fs := fsx.NewMem(1)
			keys, ids := ring(t, 2)
			s := create(t, fs, keys, sc.suite, 800*4096)
			for b := range uint64(800) {
				write1(t, s, b, page(b))
			}
			backupWhile(t, fs, s, "/base", "", 1, func() {})
			var v *Converter
			var want []byte
			info := backupWhile(t, fs, s, "/b", "", 1200*1024, func() {
				v = sc.do(t, s, ids)
				write1(t, s, 5, page(1005)) // copied already
				require.NoError(t, s.Checkpoint(context.Background()))
				write1(t, s, 90, page(1090)) // this one in the journal only
				want = contentOf(t, s)
			})
			if v != nil {
				res, err := v.Wait()
				require.NoError(t, err)
				require.True(t, res.Complete)
			}
			r := restored(t, fs, keys, "/b", "r", nil)
			require.True(t, bytes.Equal(want, contentOf(t, r)))
			ri, err := r.Info()
			require.NoError(t, err)
			for _, k := range ri.Keys {
				require.Contains(t, info.Keys, k.ID)
			}
			verified(t, r)
			// without any one of the keys it names it cannot be restored
			for _, id := range info.Keys {
				without := dek.NewKeyring()
				for _, k := range ids {
					if k != id {
						copyKey(t, keys, without, k)
					}
				}
				_, err := Restore(context.Background(), "/b", "r2", without, restoreOptions(fs))
				require.ErrorIs(t, err, ErrNotActivated, "without %v", id)
				require.Contains(t, err.Error(), id.String())
				require.False(t, exists(fs, "r2"))
			}
			// an increment over the base of before
			inc := backupWhile(t, fs, s, "/inc", "/base", 1, func() {})
			require.False(t, inc.Base.IsZero())
			now := contentOf(t, s)
			r = restored(t, fs, keys, "/inc", "r3", nil)
			require.True(t, bytes.Equal(now, contentOf(t, r)))
			verified(t, r)
			verified(t, s)
		})
	}
}

// copyKey activates a key of one keyring in another.
func copyKey(t testing.TB, from, to *dek.Keyring, id dek.ID) {
	t.Helper()
	l, err := from.Lease(id, dek.Database, "test")
	require.NoError(t, err)
	defer l.Release()
	require.NoError(t, to.Activate(l.Key(), dek.Database, dek.Active))
}

// contentOf is everything that a volume holds.
func contentOf(t testing.TB, s *Store) []byte {
	t.Helper()
	out, zero := []byte(fmt.Sprint(s.Size(), ";")), make([]byte, s.BlockSize())
	require.NoError(t, s.View(func(tx *Tx) error {
		for b := range tx.Blocks() {
			p, err := tx.Read(b)
			if err != nil {
				return err
			}
			if !bytes.Equal(p, zero) { // byte by byte the race detector takes its time
				out = append(append(out, fmt.Sprint(b)...), p...)
			}
		}
		return nil
	}))
	return out
}

// Epochs that a backup has seen stay in the label until it has ended.
func TestBackupDuringEpochChange(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	o := testOptions(fs)
	o.Tune.SealBudget, o.Tune.SealReserve = 300, 64
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 800 * 4096, BlockSize: 4096})
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 1))
	fill := func(n int) {
		for range n {
			require.NoError(t, s.Update(func(tx *Tx) error {
				for range 40 {
					if err := tx.Write(rng.Uint64N(800), page(rng.Uint64())); err != nil {
						return err
					}
				}
				return nil
			}))
			require.NoError(t, s.Checkpoint(context.Background()))
			s.resealEpochs() // as the background does
		}
	}
	fill(20)
	epochs := func() uint32 { return s.label.Load().write().current().number }
	before := epochs()
	var want []byte
	backupWhile(t, fs, s, "/b", "", 1000*1024, func() {
		fill(30)
		want = contentOf(t, s)
	})
	require.Greater(t, epochs(), before+1)
	require.Eventually(t, func() bool { // afterwards old epochs go as ever
		s.resealEpochs()
		return len(s.label.Load().write().epochs) < epochLimit
	}, 20*time.Second, 10*time.Millisecond)
	ro := restoreOptions(fs)
	ro.Tune = o.Tune
	r := restored(t, fs, keys, "/b", "r", ro)
	require.True(t, bytes.Equal(want, contentOf(t, r)))
	verified(t, r)
	verified(t, s)
}
