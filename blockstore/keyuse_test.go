package blockstore

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// retree rewrites a tag block, the tree over it and both labels, with every checksum and hash that can be made without a key.
func (a *arena) retree(group uint64, change func(m *metaBlock)) {
	f, err := a.disk.Open("v", os.O_RDWR, 0)
	require.NoError(a.t, err)
	defer func() { require.NoError(a.t, f.Close()) }()
	l := a.label()
	e := newMetaTree(f, l).edit()
	m, err := e.block(metaKey{0, group}, false)
	require.NoError(a.t, err)
	change(m)
	l.root, err = e.flush(l.height, l.generation)
	require.NoError(a.t, err)
	a.relabel(both, func(raw []byte) { copy(raw, l.encode()[:offLabelCRC]) })
}

// TestCountKeysHostile: a census without keys counts what it can of whatever lies there, and says of which groups it cannot tell.
func TestCountKeysHostile(t *testing.T) {
	for name, c := range map[string]struct {
		do         func(w *wreck)
		blocks     uint64
		unreadable uint64
	}{
		"nothing": {blocks: 119, do: func(*wreck) {}},
		"a record of a kind that is not": {blocks: 118, unreadable: 1, do: func(w *wreck) {
			w.retree(1, func(m *metaBlock) { m.rawRecord(7)[32] = 9 })
		}},
		"records of a slot that is none": {blocks: 118, unreadable: 1, do: func(w *wreck) {
			w.retree(1, func(m *metaBlock) { m.rawRecord(7)[33] = maxSlots })
		}},
		"a record of a slot not in use, as a plain one would be": {blocks: 118, unreadable: 1, do: func(w *wreck) {
			w.retree(1, func(m *metaBlock) { m.rawRecord(7)[33] = maxSlots - 1 })
		}},
		"a tag block damaged": {blocks: 79, unreadable: 1, do: func(w *wreck) { w.harmTag(0, 700, 1) }},
		"the root damaged": {unreadable: wreckGroups, do: func(w *wreck) {
			w.edit("v", func(b []byte) { b[w.l.layout().slot(metaKey{1, 0}, w.l.root.slot)+70] ^= 1 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWreck(t, AESGCM, false)
			c.do(w)
			o := testOptions(w.disk)
			got, err := CountKeys(context.Background(), "v", &o)
			require.NoError(t, err)
			require.Equal(t, KeyUse{ID: w.ids[0], Blocks: c.blocks, Label: true}, got.Use(w.ids[0]))
			require.Equal(t, c.unreadable, got.Unreadable)
			require.Zero(t, got.PlainBlocks)
		})
	}
}

// TestCountKeysOfHugeVolume: below a tree block that cannot be read nothing is looked for: how long the volume claims to be costs no time.
func TestCountKeysOfHugeVolume(t *testing.T) {
	const groups = 1 << 30
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s := create(t, disk, keys, AESGCM, 4096)
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Resize(groups * perGroup * 4096) }))
	write1(t, s, 3, pageOf(1))
	require.NoError(t, s.Close())
	a := &arena{scene: &scene{keys: keys, ids: ids}, t: t, disk: disk}
	l := a.label()
	require.Greater(t, l.height, uint8(2))
	f, err := disk.Open("v", os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{1, 2, 3}, l.layout().slot(metaKey{l.height, 0}, l.root.slot)+100)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	o := testOptions(disk)
	c, err := CountKeys(context.Background(), "v", &o)
	require.NoError(t, err)
	require.EqualValues(t, groups, c.Unreadable)
}

// changer changes the journal's key again and again as soon as a backup is being written.
type changer struct {
	t   *testing.T
	s   *Store
	ids []dek.ID
}

func (c *changer) Write(b []byte) (int, error) {
	for i, id := range c.ids {
		require.NoError(c.t, c.s.SetJournalKey(context.Background(), id))
		write1(c.t, c.s, 1, pageOf(uint64(i)))
		require.NoError(c.t, c.s.Checkpoint(context.Background())) // else 32 keys at once are refused
	}
	c.ids = nil
	return len(b), nil
}

// TestBackupOfTooManyKeys: a backup names every key that it cannot be restored without, or is refused.
func TestBackupOfTooManyKeys(t *testing.T) {
	keys, ids := ring(t, maxBackupKeys+1)
	for n, wrong := range map[int]bool{maxBackupKeys: false, maxBackupKeys + 1: true} {
		fs := fsx.NewMem(1)
		s := create(t, fs, keys, AESGCM, 1<<20)
		for b := range uint64(250) { // more than the writer gathers
			write1(t, s, b, page(b))
		}
		info, err := s.Backup(context.Background(), &changer{t, s, ids[1:n]}, BackupOptions{})
		if wrong {
			require.ErrorIs(t, err, ErrState)
			require.ErrorContains(t, err, "too many keys")
		} else {
			require.NoError(t, err)
			require.ElementsMatch(t, ids[:n], info.Keys)
		}
		verified(t, s)
	}
}
