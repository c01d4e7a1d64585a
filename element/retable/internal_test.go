package retable

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// TestPacer: n values take n divided by the rate, counted from when they should have been done.
func TestPacer(t *testing.T) {
	now := time.Unix(1000, 0)
	var naps []time.Duration
	p := pacer{rate: 100, now: func() time.Time { return now }, nap: func(_ context.Context, d time.Duration) error {
		naps = append(naps, d)
		now = now.Add(d)
		return nil
	}}
	ctx := context.Background()
	require.NoError(t, p.wait(ctx, 50))
	now = now.Add(200 * time.Millisecond) // the next batch took that long
	require.NoError(t, p.wait(ctx, 50))
	require.NoError(t, p.wait(ctx, 0))
	now = now.Add(time.Hour) // a pause is no credit
	require.NoError(t, p.wait(ctx, 100))
	require.Equal(t, []time.Duration{500 * time.Millisecond, 500 * time.Millisecond, time.Second}, naps)

	stopped, stop := context.WithCancel(ctx)
	stop()
	require.ErrorIs(t, sleep(stopped, time.Hour), context.Canceled)
	free := pacer{}
	require.NoError(t, free.wait(ctx, 1000))
	require.ErrorIs(t, free.wait(stopped, 1), context.Canceled)
}

type stateError string

func (e stateError) Error() string    { return string(e) }
func (e stateError) SQLState() string { return string(e) }

type temporary bool

func (e temporary) Error() string   { return "temporary" }
func (e temporary) Temporary() bool { return bool(e) }

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		err   error
		tries int
	}{{stateError("40001"), 3}, {stateError("40P01"), 3}, {stateError("23505"), 1}, {temporary(true), 3}, {temporary(false), 1}, {errors.New("other"), 1}} {
		n := 0
		err := retry(context.Background(), func() error {
			if n++; n < 3 {
				return c.err
			}
			return nil
		})
		require.Equal(t, c.tries, n, "%v", c.err)
		require.Equal(t, c.tries == 1, err != nil)
	}
	ctx, stop := context.WithCancel(context.Background())
	n := 0
	require.Error(t, retry(ctx, func() error { n++; stop(); return temporary(true) }))
	require.Equal(t, 1, n)
	n = 0
	require.Error(t, retry(context.Background(), func() error { n++; return temporary(true) }))
	require.Equal(t, attempts, n)
}

// TestCheckpointCut cuts the power at every operation: what is found is the place before or the one behind.
func TestCheckpointCut(t *testing.T) {
	old := place{Version: placeVersion, Job: "job", After: Key{int64(1)}, Done: 1}
	next := place{Version: placeVersion, Job: "job", After: Key{int64(500)}, Done: 500}
	ctx := context.Background()
	oldState, err := old.encode()
	require.NoError(t, err)
	state, err := next.encode()
	require.NoError(t, err)
	found := map[int64]int{}
	for k := 0; ; k++ {
		m := fsx.NewMem(uint64(k))
		require.NoError(t, m.Mkdir("d", 0o755))
		require.NoError(t, m.SyncDir("."))
		f := file{m, "d/place"}
		require.NoError(t, f.saved(ctx, oldState))
		m.CutAfter(k)
		whole := f.saved(ctx, state) == nil
		for seed := range uint64(8) {
			after := m.Crash(rand.New(rand.NewPCG(uint64(k), seed)))
			got, err := file{after, "d/place"}.load(ctx, nil, "job")
			require.NoError(t, err)
			p, err := decodePlace(got, "job", 1)
			require.NoError(t, err)
			require.Contains(t, []int64{1, 500}, p.Done)
			require.True(t, !whole || p.Done == 500, "what was saved is there")
			found[p.Done]++
		}
		if whole {
			break
		}
	}
	require.Len(t, found, 2, "cuts before and behind")

	m := fsx.NewMem(1)
	f := file{m, "place"}
	got, err := f.load(ctx, nil, "job")
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoError(t, f.remove(ctx, nil, "job"))
	require.NoError(t, f.saved(ctx, state))
	require.NoError(t, f.remove(ctx, nil, "job"))
	_, err = m.Stat("place")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// FuzzPlace: a checkpoint is read or refused, and what is read is written as it was meant.
func FuzzPlace(f *testing.F) {
	keys := []Key{{int64(math.MinInt64)}, {"a", []byte{0, 255}, "\xff", ""}, {1.5, math.Inf(1)}, {[]byte{}}}
	for _, k := range keys {
		p := place{Version: placeVersion, Job: "j", After: k, Done: 3, Changed: 2}
		b, err := p.encode()
		require.NoError(f, err)
		f.Add(b)
		back, err := decodePlace(b, "j", len(k))
		require.NoError(f, err)
		require.Equal(f, &p, back)
	}
	f.Add([]byte(`{"version":1,"job":"j","after":[{}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePlace(b, "j", 1)
		if err != nil {
			return
		}
		require.Len(t, p.After, 1)
		again, err := p.encode()
		require.NoError(t, err)
		back, err := decodePlace(again, "j", 1)
		require.NoError(t, err)
		if v, ok := p.After[0].(float64); ok && math.IsNaN(v) {
			return
		}
		require.Equal(t, p, back)
	})
}

func TestPlaceRefused(t *testing.T) {
	for text, want := range map[string]error{
		`{"version":1,"job":"other","after":[{"integer":1}]}`:                 fault.State,
		`{"version":2,"job":"j","after":[{"integer":1}]}`:                     fault.Version,
		`{"version":1,"job":"j","after":[{"integer":1},{"text":"x"}]}`:        fault.Damaged,
		`{"version":1,"job":"j","after":[{}]}`:                                fault.Damaged,
		`{"version":1,"job":"j","after":[{"bytes":"*"}]}`:                     fault.Damaged,
		`{"version":1,"job":"j"`:                                              fault.Damaged,
		``:                                                                    fault.Damaged,
		`{"version":1,"job":"j","after":[{"integer":123456789012345678901}]}`: fault.Damaged,
	} {
		_, err := decodePlace([]byte(text), "j", 1)
		require.ErrorIs(t, err, want, text)
	}
}

// FuzzName: a name is read or refused, and what is read is written so that it is read again.
func FuzzName(f *testing.F) {
	for _, s := range []string{"t", "s.t", `"a.b"."c""d"`, `"`, `""`, "a.b.c", "", ".", `a"b`, "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseName(text)
		if err != nil {
			require.ErrorIs(t, err, fault.Usage)
			return
		}
		back, err := ParseName(n.String())
		require.NoError(t, err)
		require.Equal(t, n, back)
		quoted, err := ParseName(n.quoted())
		require.NoError(t, err)
		require.Equal(t, n, quoted)
	})
}

func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"patients":         {"", "patients"},
		"public.Patients":  {"public", "Patients"},
		`"a.b"`:            {"", "a.b"},
		`s."say ""hi""".`:  {},
		`"s.x"."t"`:        {"s.x", "t"},
		`a.b.c`:            {},
		`"open`:            {},
		`""`:               {},
		`a"b`:              {},
		`s.`:               {},
		`.t`:               {},
		`"s"t`:             {},
		`s."say ""hi"" ."`: {"s", `say "hi" .`},
	} {
		got, err := ParseName(text)
		if want == (Name{}) {
			require.ErrorIs(t, err, fault.Usage, text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
}

// FuzzInspect: whatever lies in a column is one of four sorts, and only what is whole is called so.
func FuzzInspect(f *testing.F) {
	for _, s := range []string{"", "plain", "coffer1:", "coffer1:Q0ZFAQEB", "CFE", "CFE\x01\x01\x01", "coffer1:x \n"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, text bool) {
		var v any = b
		if text {
			v = string(b)
		}
		c := inspect(v)
		require.Contains(t, []sort{plain, empty, sealed, broken}, c.sort)
		require.Equal(t, c.sort == sealed, c.sealed != nil)
		require.Equal(t, c.sort == broken, c.err != nil)
		require.True(t, c.sort != empty || len(b) == 0)
		if c.sort == plain || c.sort == empty {
			require.Equal(t, b, append([]byte{}, c.plaintext()...))
		}
	})
}

func TestDescribe(t *testing.T) {
	names := []string{"a", "b"}
	for want, k := range map[string]Key{
		`a=1, b=x`:            {int64(1), "x"},
		`a="a b", b=""`:       {"a b", ""},
		`a=x'00ff', b=1.5`:    {[]byte{0, 255}, 1.5},
		`a="\xff", b="x=\"y"`: {"\xff", `x="y`},
	} {
		require.Equal(t, want, k.describe(names))
	}
	long := make([]byte, 200)
	require.Less(t, len(Key{long, string(long)}.describe(names)), 600)
	_, err := part(true, false)
	require.ErrorIs(t, err, fault.Unsupported)
	_, err = part("octal", true)
	require.ErrorIs(t, err, fault.State)
	require.False(t, reflect.DeepEqual(inspect(true).err, nil))
}
