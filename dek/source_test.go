package dek

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// plainSource yields clones of its keys, and remembers what it handed out.
type plainSource struct {
	keys   []*Key
	err    error
	handed []*Key
}

func (s *plainSource) Keys(ctx context.Context) ([]*Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.handed = nil
	for _, k := range s.keys {
		c, err := k.Clone()
		if err != nil {
			return nil, err
		}
		s.handed = append(s.handed, c)
	}
	return s.handed, s.err
}

type fullSource struct {
	plainSource
	modes        map[ID]Mode
	def, journal ID
}

func (s *fullSource) Mode(id ID) Mode { return s.modes[id] }
func (s *fullSource) Marks() (ID, ID) { return s.def, s.journal }
func (s *plainSource) destroyed() (n int) {
	for _, k := range s.handed {
		if k.ExposeSecret() == nil {
			n++
		}
	}
	return n
}

var (
	_ Source     = (*plainSource)(nil)
	_ ModeSource = (*fullSource)(nil)
	_ MarkSource = (*fullSource)(nil)
)

func TestActivateFrom(t *testing.T) {
	r := newRing(t)
	s := &plainSource{keys: []*Key{newKey(t, 128), newKey(t, 256)}}
	a, err := r.ActivateFrom(t.Context(), s, Database, Active)
	require.NoError(t, err)
	require.Equal(t, []ID{s.keys[0].ID(), s.keys[1].ID()}, a.IDs)
	require.True(t, a.First)
	require.Equal(t, 2, s.destroyed(), "what was fetched is wiped")
	def, ok := r.Default()
	require.True(t, ok)
	require.Equal(t, s.keys[0].ID(), def)
}

func TestActivateFromModesAndMarks(t *testing.T) {
	r := newRing(t)
	old, now, log := newKey(t, 256), newKey(t, 256), newKey(t, 256)
	s := &fullSource{plainSource: plainSource{keys: []*Key{old, now, log}},
		modes: map[ID]Mode{old.ID(): DecryptOnly, now.ID(): Active, log.ID(): Active}, def: now.ID(), journal: log.ID()}
	_, err := r.ActivateFrom(t.Context(), s, Database, Active)
	require.NoError(t, err)
	for _, e := range r.List() {
		require.Equal(t, s.modes[e.ID], e.Mode)
		require.Equal(t, e.ID == now.ID(), e.Default)
		require.Equal(t, e.ID == log.ID(), e.Journal)
	}

	t.Run("the caller's limit holds", func(t *testing.T) {
		r := newRing(t)
		_, err := r.ActivateFrom(t.Context(), s, Database, DecryptOnly)
		require.NoError(t, err)
		for _, e := range r.List() {
			require.Equal(t, DecryptOnly, e.Mode)
		}
		_, ok := r.Default()
		require.False(t, ok)
	})
	t.Run("marks of a second source do not move the first's", func(t *testing.T) {
		r := newRing(t)
		first := newKey(t, 128)
		require.NoError(t, r.Activate(first, Database, Active))
		_, err := r.ActivateFrom(t.Context(), s, Database, Active)
		require.NoError(t, err)
		def, _ := r.Default()
		require.Equal(t, first.ID(), def)
	})
	t.Run("a key without a mode", func(t *testing.T) {
		r := newRing(t)
		s := &fullSource{plainSource: plainSource{keys: []*Key{old}}}
		_, err := r.ActivateFrom(t.Context(), s, Database, Active)
		require.Error(t, err)
		require.Empty(t, r.List())
		require.Equal(t, 1, s.destroyed())
	})
}

func TestActivateFromRefuses(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	away := errors.New("server is away")
	k := newKey(t, 128)
	for _, c := range []struct {
		name string
		ctx  context.Context
		src  Source
		use  Use
		mode Mode
		want error
	}{
		{"no keys", t.Context(), &plainSource{}, Database, Active, ErrNotActivated},
		{"an error with keys", t.Context(), &plainSource{keys: []*Key{k}, err: away}, Database, Active, away},
		{"cancelled", gone, &plainSource{keys: []*Key{k}}, Database, Active, context.Canceled},
		{"use", t.Context(), &plainSource{keys: []*Key{k}}, 0, Active, ErrUsage},
		{"mode", t.Context(), &plainSource{keys: []*Key{k}}, Database, 0, ErrUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRing(t)
			_, err := r.ActivateFrom(c.ctx, c.src, c.use, c.mode)
			require.ErrorIs(t, err, c.want)
			require.Empty(t, r.List())
			if s := c.src.(*plainSource); len(s.handed) > 0 {
				require.Equal(t, len(s.handed), s.destroyed())
			}
		})
	}
}
