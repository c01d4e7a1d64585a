package journal

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

func prefix(t *testing.T, o Options, from Floor) (end Position, got []string, cause error) {
	t.Helper()
	got = []string{}
	p, err := Prefix(bg, o, from, func(f Frame) error {
		got = append(got, string(f.Payload))
		return nil
	})
	require.NoError(t, err)
	return p.End, got, p.Cause
}

// TestPrefix: whatever is damaged, what is applied is what was written, from
// the first record on without a gap, up to the damage.
func TestPrefix(t *testing.T) {
	s := newScene(t, 0)
	s.from.MustReach = 3
	end, got, cause := prefix(t, s.o, s.from)
	require.NoError(t, cause)
	require.Equal(t, s.want, got)
	require.Equal(t, s.head, end)
	for segment := 1; segment <= 3; segment++ {
		list := s.frames(segment)
		for i, f := range list {
			if i == 6 {
				continue // the closing frame: no record
			}
			for _, forged := range []bool{false, true} {
				d := *s
				d.m = s.m.Clone()
				d.o.FS = d.m
				d.edit(segment, func(b []byte) {
					b[f[0]+200] ^= 1
					if forged {
						fix(b, f[0])
					}
				})
				what := fmt.Sprintf("segment %d, frame %d, checksum right %v", segment, i, forged)
				_, got, cause := prefix(t, d.o, d.from)
				require.Equal(t, s.want[:6*(segment-1)+i], got, what)
				if segment < 3 || i < 5 || forged {
					require.Error(t, cause, what)
				} else {
					require.NoError(t, cause, "a tail: nothing says that it was durable")
				}
				r, _, err := read(t, d.o, d.from)
				require.Equal(t, err == nil, cause == nil, "%s: agrees with Recover", what)
				if r != nil {
					require.NoError(t, r.Close())
				}
			}
		}
	}
	for segment := 1; segment <= 3; segment++ {
		d := *s
		d.m = s.m.Clone()
		d.o.FS = d.m
		require.NoError(t, d.m.Remove(d.name(segment)))
		_, got, cause := prefix(t, d.o, d.from)
		require.ErrorIs(t, cause, ErrMissing)
		require.Len(t, got, 6*(segment-1))
		require.Equal(t, s.want[:len(got)], got)
	}
}

// TestPrefixRefuses what another keyring could read, and gives back its leases.
func TestPrefixRefuses(t *testing.T) {
	s := newScene(t, 0)
	o := s.o
	o.Keys = dek.NewKeyring()
	_, err := Prefix(bg, o, s.from, func(Frame) error { return nil })
	require.ErrorIs(t, err, ErrNotActivated)
	_, err = Prefix(bg, s.o, Floor{}, func(Frame) error { return nil })
	require.ErrorIs(t, err, ErrUsage)
	_, _, cause := prefix(t, s.o, s.from)
	require.NoError(t, cause)
	require.Empty(t, s.o.Keys.Holders(s.ids[0]))
	o.Dir, o.Keys = "nowhere", s.o.Keys
	_, _, cause = prefix(t, o, s.from)
	require.ErrorIs(t, cause, ErrMissing)
}
