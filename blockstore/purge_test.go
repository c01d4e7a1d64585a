package blockstore

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// removals is a file system that looks at journal files as they are removed.
type removals struct {
	*fsx.Mem
	zero, other int
}

func (r *removals) Remove(name string) error {
	if strings.HasPrefix(name, "v.journal/") {
		if b, err := r.ReadFile(name); err == nil && len(bytes.Trim(b, "\x00")) == 0 {
			r.zero++
		} else {
			r.other++
		}
	}
	return r.Mem.Remove(name)
}

// TestPurge: after it no sector of a block is as it was under the old key, what
// was trimmed is zero, and journal files are overwritten before they go.
func TestPurge(t *testing.T) {
	fs := &removals{Mem: fsx.NewMem(1)}
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := range uint64(400) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Trim(100, 200) }))
	require.NoError(t, s.Checkpoint(context.Background()))
	old, err := fs.ReadFile("v")
	require.NoError(t, err)
	fs.zero, fs.other = 0, 0
	v, err := s.Convert(context.Background(), Conversion{Key: ids[1], Purge: true})
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	require.NoError(t, s.Purge(context.Background()))
	verified(t, s)
	require.Zero(t, fs.other, "journal files removed as they were")
	require.Positive(t, fs.zero)
	now, err := fs.ReadFile("v")
	require.NoError(t, err)
	kept := 0
	for b := range uint64(400) {
		at := int(s.lay.block(b))
		was := old[at : at+4096]
		require.Equal(t, b >= 100 && b < 300, len(bytes.Trim(now[at:at+4096], "\x00")) == 0, "block %d: what is trimmed is zero, and nothing else", b)
		for i := 0; i < 4096; i += 512 {
			if bytes.Equal(was[i:i+512], now[at+i:at+i+512]) {
				kept++
			}
		}
	}
	require.Zero(t, kept)
}

func TestPurgeRefused(t *testing.T) {
	keys, ids := ring(t, 2)
	s := create(t, fsx.NewMem(1), keys, None, 400*4096)
	require.ErrorIs(t, s.Purge(context.Background()), ErrState)
	for b := range uint64(400) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	halfway(t, s, Conversion{Suite: AESGCM, Key: ids[1]}, 1)
	var refused *ConversionError
	require.ErrorAs(t, s.Purge(context.Background()), &refused)
	verified(t, s)
}

// TestCountKeys: the census follows a re-key block by block, and an open store and its closed file agree.
func TestCountKeys(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 3)
	s := create(t, fs, keys, AESGCM, 400*4096)
	for b := range uint64(350) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	at := func() (from, to KeyUse) {
		c, err := s.CountKeys(context.Background())
		require.NoError(t, err)
		require.Zero(t, c.Unreadable)
		require.Zero(t, c.PlainBlocks)
		require.Empty(t, c.Problems)
		return c.Use(ids[0]), c.Use(ids[1])
	}
	from, to := at()
	require.EqualValues(t, 350, from.Blocks)
	require.Positive(t, from.Segments)
	require.Equal(t, KeyUse{ID: ids[1]}, to)
	halfway(t, s, Conversion{Key: ids[1]}, 2)
	from, to = at()
	require.EqualValues(t, 350, from.Blocks+to.Blocks)
	require.Positive(t, from.Blocks)
	require.Positive(t, to.Blocks)
	v, err := s.ResumeConversion(context.Background())
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	from, to = at()
	require.Equal(t, KeyUse{ID: ids[0]}, from)
	require.EqualValues(t, 350, to.Blocks)
	o := testOptions(fs)
	_, err = CountKeys(context.Background(), "v", &o)
	require.ErrorIs(t, err, ErrInUse)
	verified(t, s)
	c, err := CountKeys(context.Background(), "v", &o)
	require.NoError(t, err)
	require.Equal(t, []KeyUse{{ID: ids[1], Blocks: 350, Label: true}}, c.Keys)

	data, err := fs.ReadFile("v") // a damaged tag block hides what it counts, and says so
	require.NoError(t, err)
	i := bytes.LastIndex(data, []byte(metaMagicTag))
	for i >= 0 { // both slots of every group
		data[i+200] ^= 1
		i = bytes.LastIndex(data[:i], []byte(metaMagicTag))
	}
	require.NoError(t, fs.WriteFile("v", data))
	c, err = CountKeys(context.Background(), "v", &o)
	require.NoError(t, err)
	require.EqualValues(t, 3, c.Unreadable)
	require.Equal(t, []KeyUse{{ID: ids[1], Label: true}}, c.Keys)
}
