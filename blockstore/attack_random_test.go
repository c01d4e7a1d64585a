package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// TestRandomAlterations alters volume and journal anywhere, at random. Whatever
// opens then reads each block as it was in one state of the volume's past that
// a cut tail, or an older label, may stand for, or fails.
func TestRandomAlterations(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("COFFER_ATTACK_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	rounds := 250
	if testing.Short() {
		rounds = 60
	}
	for _, suite := range []Suite{AESGCM, None} {
		for name, sc := range map[string]*scene{"clean": cleanScene(t, suite), "crashed": crashedScene(t, suite)} {
			t.Run(suite.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 7))
				r := randomAttack{arena: &arena{scene: sc, t: t}, rng: rng, outcomes: map[string]int{}, candidates: append([]contents{sc.old}, sc.states...)}
				for i := range rounds {
					r.round()
					if t.Failed() {
						t.Logf("COFFER_ATTACK_SEED=%d, round %d", seed, i)
						return
					}
				}
				t.Logf("seed %d: %v", seed, r.outcomes)
				require.Positive(t, r.outcomes["read in full"])
				require.Positive(t, r.outcomes["read in part"])
			})
		}
	}
}

type randomAttack struct {
	*arena
	rng        *rand.Rand
	outcomes   map[string]int
	candidates []contents
	steps      []string
}

func (r *randomAttack) round() {
	r.disk, r.steps = r.now.Clone(), nil
	for range 1 + r.rng.IntN(3) {
		r.alter()
	}
	before := r.disk.Ops()
	first := r.look(true)
	o := attackOptions(r.disk)
	_, _ = VerifyFile(context.Background(), "v", nil, &o, VerifyOptions{Workers: 1})
	require.Equal(r.t, before, r.disk.Ops(), "nothing is written")
	r.outcomes[first]++
	if r.rng.IntN(2) == 0 {
		return
	}
	if second := r.look(false); second == "refused" {
		require.Equal(r.t, before, r.disk.Ops(), "nothing is written")
		return
	}
	r.look(true)
}

func (r *randomAttack) note(format string, args ...any) {
	r.steps = append(r.steps, fmt.Sprintf(format, args...))
}

// alter does one thing to one file.
func (r *randomAttack) alter() {
	names := []string{"/v"}
	for _, name := range r.disk.Files() {
		if strings.HasPrefix(name, "/v") {
			names = append(names, name)
		}
	}
	name := names[r.rng.IntN(len(names))]
	b := r.read(r.disk, name)
	if len(b) == 0 {
		return
	}
	off := r.place(name, len(b))
	n := min(1+r.rng.IntN(1<<r.rng.IntN(17)), len(b)-off)
	switch k := r.rng.IntN(20); {
	case k < 7:
		b[off] ^= byte(1 + r.rng.IntN(255))
		r.note("flip %s at %d", name, off)
	case k < 10:
		clear(b[off : off+n])
		r.note("zero %s at %d, %d", name, off, n)
	case k < 12:
		for i := range b[off : off+n] {
			b[off+i] = byte(r.rng.Uint32())
		}
		r.note("garble %s at %d, %d", name, off, n)
	case k < 15:
		from := r.place(name, len(b))
		r.note("copy in %s from %d to %d, %d", name, from, off, copy(b[off:], bytes.Clone(b[from:min(from+n, len(b))])))
	case k < 18:
		past := []*fsx.Mem{r.past, r.clean, r.first}[r.rng.IntN(3)]
		if old, err := past.ReadFile(name); err == nil && off < len(old) {
			r.note("old %s at %d, %d", name, off, copy(b[off:off+n], old[off:]))
		}
	case k < 19:
		b = b[:off]
		r.note("cut %s at %d", name, off)
	default:
		if name != "/v" {
			r.note("remove %s", name)
			require.NoError(r.t, r.disk.Remove(name))
			return
		}
	}
	r.write(name, b)
}

// place picks an offset, often where it hurts, often a unit's beginning.
func (r *randomAttack) place(name string, n int) int {
	off := r.rng.IntN(n)
	if name == "/v" && r.rng.IntN(2) == 0 {
		places := []int64{0, labelTwo, dataStart + 4*pairSize, dataStart + 4*pairSize + metaSize, layout{4096}.tagPair(0), layout{4096}.tagPair(1), layout{4096}.block(0)}
		off = int(places[r.rng.IntN(len(places))]) + r.rng.IntN(metaSize)
	}
	if r.rng.IntN(2) == 0 {
		off &^= 4095
	}
	return min(off, n-1)
}

// look opens, reads everything, and says how it went.
func (r *randomAttack) look(readOnly bool) string {
	s, err := openWith(r.disk, r.keys, func(o *Options) { o.ReadOnly = readOnly })
	if err != nil {
		r.requireMarked(err)
		return "refused"
	}
	got := map[uint64][]byte{}
	for b := range uint64(attackBlocks) {
		page, err := readBlock(s, b)
		if err != nil {
			r.requireMarked(err)
			continue
		}
		got[b] = page
	}
	if !r.known(got) {
		require.Fail(r.t, "wrong plaintext", "readOnly=%v after %v", readOnly, r.steps)
	}
	rep, err := s.Verify(context.Background(), VerifyOptions{Workers: 1})
	require.NoError(r.t, err)
	if len(got) < attackBlocks {
		require.False(r.t, rep.OK, "%v", r.steps)
	}
	if err := s.Close(); err != nil {
		r.requireMarked(err)
	}
	if len(got) < attackBlocks {
		return "read in part"
	}
	return "read in full"
}

// known reports whether what could be read is all of one state.
func (r *randomAttack) known(got map[uint64][]byte) bool {
	for _, c := range r.candidates {
		ok := true
		for b, page := range got {
			if ok = bytes.Equal(page, pageOf(c[b])); !ok {
				break
			}
		}
		if ok {
			return true
		}
	}
	return false
}

func (r *randomAttack) requireMarked(err error) {
	r.t.Helper()
	for _, m := range []error{ErrTampered, ErrDamaged, ErrNotVolume, ErrVersion} {
		if errors.Is(err, m) {
			return
		}
	}
	require.Fail(r.t, "an error without a marker", "%v after %v", err, r.steps)
}
