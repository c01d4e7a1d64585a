package journal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// world is what a test knows of a journal: what was appended, what was acknowledged, and the label of whoever owns it.
type world struct {
	ring  *dek.Keyring
	keys  []dek.ID
	o     Options // but for FS
	acked atomic.Uint64
	label atomic.Pointer[Floor] // durable

	tolerant bool // faults are injected: errors are no failure

	mu      sync.Mutex        // guards records
	records map[uint64]string // by sequence number; aborted ones are missing
}

func (w *world) put(seq uint64, r string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[seq] = r
}

// fork is the world after a recovery that ended at end.
func (w *world) fork(end uint64) *world {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := &world{ring: w.ring, keys: w.keys, o: w.o, records: maps.Clone(w.records)}
	maps.DeleteFunc(v.records, func(seq uint64, _ string) bool { return seq > end })
	v.acked.Store(end)
	v.label.Store(w.label.Load())
	return v
}

// campaign runs one program after another for a while, or the one that JOURNAL_SEED names; JOURNAL_TIME says how long.
func campaign(t *testing.T, long time.Duration, program func(t *testing.T, rng *rand.Rand)) {
	if s := os.Getenv("JOURNAL_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		program(t, rand.New(rand.NewPCG(seed, 1)))
		return
	}
	if testing.Short() {
		long /= 4
	}
	if s := os.Getenv("JOURNAL_TIME"); s != "" {
		var err error
		long, err = time.ParseDuration(s)
		require.NoError(t, err)
	}
	base, until := uint64(time.Now().UnixMilli()), time.Now().Add(long)
	programs := 0
	for ; time.Now().Before(until) && !t.Failed(); programs++ {
		seed := base + uint64(programs)
		program(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Logf("replay with JOURNAL_SEED=%d", seed)
		}
	}
	t.Logf("%d programs, %d power cuts", programs, cuts.Swap(0))
}

var cuts atomic.Int64

func newWorld(t *testing.T, rng *rand.Rand) (*world, *fsx.Mem) {
	ring, ids := keys(t, 2)
	m := fsx.NewMem(rng.Uint64())
	w := &world{
		ring: ring, keys: append(ids, dek.ID{}), records: map[uint64]string{},
		o: Options{
			Dir: "v.journal", Keys: ring, Volume: testVolume, Stream: testStream, Inline: rng.IntN(2) == 0,
			SegmentBytes: int64(64<<10) << rng.IntN(3), Retain: rng.IntN(4) - 1, Unit: 4096 << rng.IntN(2),
		},
	}
	w.label.Store(&Floor{Keys: w.keys, Generation: 1})
	return w, m
}

func (w *world) options(m *fsx.Mem) Options {
	o := w.o
	o.FS = m
	return o
}

// TestCrashModel runs random programs and cuts the power at every operation: what
// was acknowledged is there, what is there is a prefix, nothing is invented; and
// so again when the power is cut in the recovery and in what follows.
func TestCrashModel(t *testing.T) {
	noLeaks(t)
	campaign(t, 4*time.Second, func(t *testing.T, rng *rand.Rand) {
		w, m := newWorld(t, rng)
		j, err := Start(w.options(m), Position{}, w.keys[rng.IntN(3)], 1, session(0))
		require.NoError(t, err)
		w.watch(t, rng, m, 0, func() { w.program(t, rng, j, 12) })
		require.NoError(t, j.Err())
		w.check(t, rng, m.Kill(), 0)
		_ = j.Close(bg)
	})
}

// watch runs f and checks an image of what a power cut would leave at each operation meanwhile, or at some deeper down.
func (w *world) watch(t *testing.T, rng *rand.Rand, m *fsx.Mem, depth int, f func()) {
	hookRNG := rand.New(rand.NewPCG(rng.Uint64(), 2))
	odds := 1 << (4 * depth)
	m.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead || depth > 2 || hookRNG.IntN(odds) != 0 || t.Failed() {
			return nil
		}
		acked, label := w.acked.Load(), *w.label.Load()
		cuts.Add(1)
		image := m.CrashInHook(hookRNG)
		w.checkAt(t, hookRNG, image, acked, label, depth+1)
		return nil
	})
	f()
	m.SetHook(nil)
}

func (w *world) check(t *testing.T, rng *rand.Rand, m *fsx.Mem, depth int) {
	w.checkAt(t, rng, m, w.acked.Load(), *w.label.Load(), depth)
}

// checkAt recovers from what is in m and goes on from there.
func (w *world) checkAt(t *testing.T, rng *rand.Rand, m *fsx.Mem, acked uint64, label Floor, depth int) {
	got := map[uint64]string{}
	last := label.Position.Seq
	before := m.Ops()
	r, err := Recover(bg, w.options(m), label, func(f Frame) error {
		if f.Seq <= last {
			return fmt.Errorf("frame %d after %d", f.Seq, last)
		}
		last = f.Seq
		got[f.Seq] = string(f.Payload)
		return nil
	})
	if err != nil {
		t.Errorf("acknowledged %d, label %+v: %v\n%s", acked, label, err, describe(w.options(m)))
		return
	}
	defer r.Close()
	if m.Ops() != before {
		t.Error("Recover wrote")
	}
	if r.End.Seq < acked {
		t.Errorf("acknowledged through %d, recovered through %d\n%s", acked, r.End.Seq, describe(w.options(m)))
		return
	}
	v := w.fork(r.End.Seq)
	for seq, want := range v.records {
		if have, ok := got[seq]; seq > label.Position.Seq && (!ok || have != want) {
			t.Errorf("frame %d is missing or another one (%v), end %d", seq, ok, r.End.Seq)
			return
		}
		delete(got, seq)
	}
	if len(got) > 0 {
		t.Errorf("invented: %d frames", len(got))
		return
	}
	if rep, err := Scrub(bg, m, w.o.Dir, testVolume, label.Position.Segment); err != nil || len(rep.Bad) > 0 {
		t.Errorf("scrub of what a power cut left: %v %v", err, rep.Bad)
	}
	if depth > 2 || depth > 0 && rng.IntN(3) != 0 {
		return
	}
	v.acked.Store(acked) // until Settle returned
	v.label.Store(&label)
	v.goOn(t, rng, m, r, depth)
}

// goOn settles, continues, appends a little, with cuts on the way.
func (w *world) goOn(t *testing.T, rng *rand.Rand, m *fsx.Mem, r *Recovered, depth int) {
	end := r.End.Seq
	var j *Journal
	w.watch(t, rng, m, depth, func() {
		if err := r.Settle(bg); err != nil {
			t.Errorf("settle: %v", err)
			return
		}
		w.acked.Store(end)
		if rng.IntN(4) == 0 { // the label moves on before a new segment does
			label := *w.label.Load()
			label.DurableThrough = end
			w.label.Store(&label)
		}
		var err error
		if j, err = r.Continue(w.keys[rng.IntN(3)], w.label.Load().Generation, session(depth+1)); err != nil {
			t.Errorf("continue: %v", err)
			return
		}
		w.program(t, rng, j, 1+rng.IntN(3))
	})
	if j == nil || t.Failed() {
		return
	}
	if rng.IntN(2) == 0 {
		if err := j.Close(bg); err != nil {
			t.Errorf("close: %v", err)
		}
		w.check(t, rng, m.Crash(rng), depth+1)
	} else {
		w.check(t, rng, m.Kill(), depth+1)
		_ = j.Close(bg)
	}
}

// program does random things to a journal.
func (w *world) program(t *testing.T, rng *rand.Rand, j *Journal, steps int) {
	for range steps {
		if t.Failed() || j.Err() != nil {
			return
		}
		var err error
		switch n := rng.IntN(10); {
		case n < 6:
			w.burst(t, rng, j)
		case n == 6:
			err = j.Sync(bg)
		case n == 7:
			err = j.Switch(bg, w.keys[rng.IntN(3)])
		default:
			err = w.checkpoint(rng, j)
		}
		if err != nil && j.Err() == nil && !w.tolerant {
			t.Errorf("program: %v", err)
		}
	}
}

// checkpoint moves the label on and releases what it does not need.
func (w *world) checkpoint(rng *rand.Rand, j *Journal) error {
	at := j.Durable()
	label := Floor{Position: at, Keys: w.keys, Generation: w.label.Load().Generation + 1}
	if rng.IntN(2) == 0 {
		label.MustReach = at.Segment
	}
	w.ack(at.Seq)
	w.label.Store(&label)
	j.SetGeneration(label.Generation)
	w.burst(nil, rng, j)
	return j.Release(bg, at, rng.IntN(3) == 0)
}

func (w *world) ack(seq uint64) {
	for old := w.acked.Load(); old < seq && !w.acked.CompareAndSwap(old, seq); old = w.acked.Load() {
	}
}

// burst lets up to 8 writers append.
func (w *world) burst(t *testing.T, rng *rand.Rand, j *Journal) {
	var wg sync.WaitGroup
	for range 1 + rng.IntN(8) {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 3))
		wg.Go(func() {
			for range 1 + rng.IntN(6) {
				if err := w.append(rng, j); err != nil && j.Err() == nil && t != nil && !w.tolerant {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func (w *world) append(rng *rand.Rand, j *Journal) error {
	n := rng.IntN(200)
	if rng.IntN(4) == 0 {
		n = rng.IntN(12000)
	}
	tk, err := j.Ticket(n)
	if err != nil {
		return err
	}
	if rng.IntN(8) == 0 {
		tk.Abort()
		return nil
	}
	payload := make([]byte, n)
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	w.put(tk.Seq(), string(payload))
	if err := tk.Commit(payload); err != nil {
		return err
	}
	if rng.IntN(3) == 0 {
		return nil
	}
	if err := j.Wait(bg, tk.Seq()); err != nil {
		return err
	}
	w.ack(tk.Seq())
	return nil
}

func describe(o Options) (s string) {
	list, err := List(o.FS, o.Dir)
	for _, i := range list {
		s += fmt.Sprintf("  %s: segment %d %x frames %d-%d key %v gen %d %v\n", i.Slot, i.Number, i.UUID[:4], i.First, i.Last, i.Key, i.Generation, i.Err)
	}
	return fmt.Sprintf("%s%v", s, err)
}
