package blockstore

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// TestAttackSegmentUnderOldKey: who has the old key of a re-keyed volume plants
// a segment under it.
func TestAttackSegmentUnderOldKey(t *testing.T) {
	sc := cleanScene(t, AESGCM)
	disk := sc.now.Clone()
	s, err := openWith(disk, sc.keys, nil)
	require.NoError(t, err)
	c, err := s.Convert(context.Background(), Conversion{Key: sc.ids[1]})
	require.NoError(t, err)
	r, err := c.Wait()
	require.NoError(t, err)
	require.True(t, r.Complete)
	write1(t, s, 1, pageOf(2))
	l, head := s.label.Load(), s.journal.Durable()
	dead := disk.Kill().Clone()
	_ = s.Close()
	// In place of the volume's own, and behind it: a journal under the old key with the right numbers.
	for _, keep := range []bool{false, true} {
		victim, at := dead.Clone(), head
		o := journal.Options{FS: victim, Dir: "v.journal", Keys: sc.keys, Volume: l.volume, Stream: l.stream, SegmentBytes: 64 << 10, Inline: true}
		own, err := journal.List(victim, "v.journal")
		require.NoError(t, err)
		if !keep {
			for _, g := range own {
				require.NoError(t, victim.Remove("v.journal/"+g.Slot))
			}
			at = journal.Position{Segment: l.redo.Segment - 1, Seq: l.redo.Seq, Chain: l.redo.Chain}
		}
		old, err := journal.Start(o, at, sc.ids[0], l.generation, s.session)
		require.NoError(t, err)
		_, err = old.Append([]byte("planted"))
		require.NoError(t, err)
		require.NoError(t, old.Close(context.Background()))
		requireRefused(t, victim, sc.keys, nil, ErrTampered)
	}
}

// TestAttackWhileEncrypting: during a conversion from suite none the journal
// from before it is plain, and may be needed. What follows it is not, and binds it.
func TestAttackWhileEncrypting(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s, err := Create("v", keys, CreateOptions{Options: attackOptions(fs), Size: attackBlocks * 4096, BlockSize: 4096, Suite: None})
	require.NoError(t, err)
	var want contents
	for b := range uint64(6) {
		want[b] = 10 + b
		write1(t, s, b, pageOf(10+b))
	}
	require.NoError(t, s.recordConversion(context.Background(), Conversion{Suite: AESGCM, Key: ids[0]}))
	l := s.label.Load()
	require.True(t, l.allowsJournalKey(dek.ID{}), "the plain segment is still needed")
	dead := fs.Kill().Clone()
	_ = s.Close()
	requireOpens(t, dead.Clone(), keys, nil, want)
	list, err := journal.List(dead, "v.journal")
	require.NoError(t, err)
	for _, g := range list {
		if g.Number <= l.redo.Segment || g.Key.IsZero() {
			continue
		}
		victim := dead.Clone()
		require.NoError(t, victim.Remove("v.journal/"+g.Slot))
		requireRefused(t, victim, keys, nil, ErrDamaged)
	}
}

// TestAttackWeakeningIsNotContinued: a volume that was being decrypted opens
// as encrypted again: nothing more goes out in plaintext until somebody
// resumes by name.
func TestAttackWeakeningIsNotContinued(t *testing.T) {
	sc := cleanScene(t, AESGCM)
	disk := sc.now.Clone()
	s, err := openWith(disk, sc.keys, nil)
	require.NoError(t, err)
	require.NoError(t, s.recordConversion(context.Background(), Conversion{Suite: None}))
	write1(t, s, 1, pageOf(77)) // in plaintext
	require.NoError(t, s.Close())
	plainText := func(seed uint64) bool {
		b, err := disk.ReadFile("v")
		require.NoError(t, err)
		return bytes.Contains(b, pageOf(seed)[:64])
	}
	require.True(t, plainText(77))
	for _, allow := range []bool{false, true} {
		s, err = openWith(disk, sc.keys, func(o *Options) { o.AllowPlain = allow })
		require.NoError(t, err)
		seed := uint64(88)
		if allow {
			seed = 89
		}
		write1(t, s, 2, pageOf(seed))
		require.Equal(t, pageOf(77), read1(t, s, 1))
		if !allow {
			_, err = s.Convert(context.Background(), Conversion{Suite: None})
			require.ErrorIs(t, err, ErrPlain)
		}
		_, err = s.Convert(context.Background(), Conversion{Key: sc.ids[1]})
		require.ErrorIs(t, err, ErrState)
		require.NoError(t, s.Checkpoint(context.Background()))
		require.False(t, plainText(seed), "allow=%v", allow)
		if !allow {
			require.NoError(t, s.Close())
		}
	}
	c, err := s.ResumeConversion(context.Background())
	require.NoError(t, err)
	_, err = c.Wait()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.True(t, plainText(89))
	_, err = openWith(disk, sc.keys, func(o *Options) { o.AllowPlain = false })
	require.ErrorIs(t, err, ErrPlain)
}

// TestRefusalForKeys: keys that are missing or may not seal are found out before anything is written.
func TestRefusalForKeys(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 40*4096)
	require.NoError(t, s.SetJournalKey(context.Background(), ids[1]))
	write1(t, s, 1, page(1))
	open := fs.Kill().Clone()
	_ = s.Close()
	s = reopen(t, open, keys)
	clean := open
	crashed := open.Clone()
	require.NoError(t, s.Close())
	clean = clean.Clone()
	only := func(modes ...dek.Mode) *dek.Keyring {
		r := dek.NewKeyring()
		for i, mode := range modes {
			if mode == 0 {
				continue
			}
			l, err := keys.Lease(ids[i], dek.Database, "test")
			require.NoError(t, err)
			require.NoError(t, r.Activate(l.Key(), dek.Database, mode))
			l.Release()
		}
		return r
	}
	for name, disk := range map[string]*fsx.Mem{"clean": clean, "crashed": crashed} {
		before := filesOf(t, disk)
		for _, r := range []*dek.Keyring{nil, only(), only(0, dek.Active), only(dek.Active), only(dek.Active, dek.DecryptOnly)} {
			s, err := openWith(disk, r, nil)
			if err == nil {
				require.NoError(t, s.Close(), name)
				require.Fail(t, "opened", name)
			}
			requireSameFiles(t, before, disk)
			require.NoError(t, closeRing(r))
		}
		r := only(dek.DecryptOnly, dek.DecryptOnly)
		s, err := openWith(disk, r, nil)
		require.NoError(t, err)
		require.ErrorIs(t, s.Update(func(tx *Tx) error { return tx.Write(1, page(2)) }), ErrReadOnly)
		require.Equal(t, page(1), read1(t, s, 1))
		require.NoError(t, s.Close())
		requireSameFiles(t, before, disk)
		require.NoError(t, closeRing(r))
	}
}

func closeRing(r *dek.Keyring) error {
	if r == nil {
		return nil
	}
	return r.Close()
}
