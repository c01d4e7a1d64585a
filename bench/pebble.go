package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/pebblefs"
)

// A mix is what a client does, in shares of 100, after the mixes that Pebble's own benchmark calls by these names.
type mix struct {
	name                           string
	reads, updates, inserts, scans int
}

var mixes = []mix{
	{"ycsb/A", 50, 50, 0, 0},
	{"ycsb/B", 95, 5, 0, 0},
	{"ycsb/C", 100, 0, 0, 0},
	{"ycsb/D", 95, 0, 5, 0},
	{"ycsb/E", 0, 0, 5, 95},
	{"ycsb/F", 0, 0, 100, 0},
}

const (
	pebbleClients = 16
	pebbleKeys    = 100_000 // loaded before
	pebbleValue   = 1000    // bytes
	pebbleSlice   = time.Second
	pebbleTarget  = 1.05
)

// PebbleMixes lists what Pebble measures.
func PebbleMixes() []string {
	var names []string
	for _, m := range mixes {
		names = append(names, m.name)
	}
	return names
}

// Pebble measures Pebble on pebblefs beside Pebble on plain files: two databases of 100,000 keys with 1,000 bytes each, 16
// clients, commits with a sync, in turn for a second each, Rounds times for each mix. Times are wall time by operation. It
// writes and removes files in o.Dir, some 600 MB.
func Pebble(ctx context.Context, o EngineOptions) (_ *EngineReport, err error) {
	for _, name := range o.Only {
		if !slices.Contains(PebbleMixes(), name) {
			return nil, fault.Hint(fmt.Errorf("bench: no mix %q: %w", name, fault.Usage), fmt.Sprintf("There are %v.", PebbleMixes()))
		}
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Rounds == 0 {
		o.Rounds = 7
	}
	if o.Scale < 0 || o.Rounds < 0 {
		return nil, fmt.Errorf("bench: a negative scale or number of rounds: %w", fault.Usage)
	}
	dir, err := os.MkdirTemp(o.Dir, "coffer-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &engineRun{o: o, dir: dir, report: EngineReport{Results: []EngineResult{}}}
	if err := r.pebble(ctx); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return &r.report, nil
}

// pebble loads both sides and runs the mixes.
func (r *engineRun) pebble(ctx context.Context) (err error) {
	ring, _, err := newRing(1)
	if err != nil {
		return err
	}
	fs, err := pebblefs.New(vfs.Default, ring, nil)
	if err != nil {
		return err
	}
	coffer, err := r.pebbleSide(ctx, "coffer", fs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, coffer.db.Close(), fs.Close(), ring.Close()) }()
	plain, err := r.pebbleSide(ctx, "plain", vfs.Default)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.db.Close()) }()
	for _, m := range mixes {
		if r.o.Only != nil && !slices.Contains(r.o.Only, m.name) {
			continue
		}
		if err := r.pebbleMix(ctx, m, coffer, plain); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// pebbleMix measures both sides in turn; the first round warms up.
func (r *engineRun) pebbleMix(ctx context.Context, m mix, coffer, plain *pebbleSide) error {
	var s, cpu sides
	for round := range r.o.Rounds + 1 {
		r.progress("%s: round %d of %d", m.name, round, r.o.Rounds)
		sides := []*pebbleSide{coffer, plain}
		if round%2 == 1 {
			slices.Reverse(sides)
		}
		wall, processor := map[*pebbleSide]float64{}, map[*pebbleSide]float64{}
		for _, side := range sides {
			var err error
			if wall[side], processor[side], err = side.slice(ctx, m, uint64(round), pebbleSlice/time.Duration(r.o.Scale)); err != nil {
				return err
			}
		}
		if round > 0 {
			s.add(wall[coffer], wall[plain])
			cpu.add(processor[coffer], processor[plain])
		}
	}
	r.put(m.name, "µs/op", &s, pebbleTarget, fmt.Sprintf("%d clients, values of %d bytes, every commit synced: Pebble on pebblefs / on plain files; processor time %.2f µs / %.2f µs",
		pebbleClients, pebbleValue, median(cpu.coffer), median(cpu.plain)))
	return nil
}

// pebbleSide opens a database and loads it.
func (r *engineRun) pebbleSide(ctx context.Context, name string, fs vfs.FS) (*pebbleSide, error) {
	r.progress("loading %s", name)
	db, err := pebble.Open(filepath.Join(r.dir, name), &pebble.Options{FS: fs, Logger: silent{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		return nil, err
	}
	side := &pebbleSide{db: db}
	if err := side.load(ctx, pebbleKeys/r.o.Scale); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return side, nil
}

// silent is a logger of nothing: Pebble would write to standard error.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}

// Fatalf is called where Pebble must not go on.
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
