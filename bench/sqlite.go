package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// SQLiteOptions of a run. The zero value is the default run.
type SQLiteOptions struct {
	// Dir is where databases are made, some 2 GB for the default run; "" is the system's folder for temporary files.
	Dir string
	// Only measures the scenarios named: see SQLiteScenarios. nil is all.
	Only []string
	// Rounds is how often both sides are measured, in turn; 0 is 5, or what there is time for.
	Rounds int
	// Size is speedtest1's; 0 is 100. The other scenarios grow with it.
	Size int
	// Source is the folder with Coffer's source, which speedtest1 is linked with; "" looks for it.
	Source string
	// Progress, if not nil, is told what is measured.
	Progress func(what string)
}

// sqliteScenarios in their order. target is what the ratio may be.
var sqliteScenarios = []struct {
	name   string
	target float64
	run    func(*sqliteRun, context.Context) (note string, err error)
}{
	{"speedtest1/delete-full", 1.00, (*sqliteRun).speedtestDelete},
	{"speedtest1/wal-full", 1.05, (*sqliteRun).speedtestWAL},
	{"commit/wal-full", 1.00, (*sqliteRun).commits},
	{"scan/cold", 1.10, (*sqliteRun).scan},
}

// SQLiteScenarios lists what SQLite measures, each beside go-sqlite3 on a plain file:
//
//   - speedtest1/delete-full: go-sqlite3's own speedtest1, the plain side in SQLite's default mode
//   - speedtest1/wal-full: the same, the plain side in WAL mode with synchronous=full
//   - commit/wal-full: commits of one row, each durable, one after the other
//   - scan/cold: a sum over a table whose file is not in the page cache
func SQLiteScenarios() []string {
	var names []string
	for _, s := range sqliteScenarios {
		names = append(names, s.name)
	}
	return names
}

// sqliteRun is one run of SQLite.
type sqliteRun struct {
	o     SQLiteOptions
	dir   string
	keys  *dek.Keyring
	speed string // the program, once it is built
	sides sides
}

const (
	sqliteRounds = 5
	sqliteTime   = 80 * time.Second // for a scenario's rounds: four of them, and what is built, in less than 8 minutes
)

// SQLite measures SQLite over package sqlitevfs beside SQLite on plain files, in
// turn. It writes and removes files in o.Dir. speedtest1 is built once, in a
// temporary folder, with the Go toolchain; without one the error is fault.Unsupported.
func SQLite(ctx context.Context, o SQLiteOptions) (_ *EngineReport, err error) {
	for _, name := range o.Only {
		if !slices.Contains(SQLiteScenarios(), name) {
			return nil, fault.Hint(fmt.Errorf("bench: no scenario %q: %w", name, fault.Usage), fmt.Sprintf("There are %v.", SQLiteScenarios()))
		}
	}
	if o.Rounds < 0 || o.Size < 0 {
		return nil, fmt.Errorf("bench: a negative size or number of rounds: %w", fault.Usage)
	}
	if o.Rounds == 0 {
		o.Rounds = sqliteRounds
	}
	if o.Size == 0 {
		o.Size = 100
	}
	dir, err := os.MkdirTemp(o.Dir, "coffer-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &sqliteRun{o: o, dir: dir, keys: dek.NewKeyring()}
	defer func() { err = errors.Join(err, r.keys.Close()) }()
	return r.all(ctx)
}

// all runs the scenarios.
func (r *sqliteRun) all(ctx context.Context) (*EngineReport, error) {
	key, err := dek.Generate(256)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer key.Destroy()
	if err := r.keys.Activate(key, dek.Database, dek.Active); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	report := engineRun{report: EngineReport{Results: []EngineResult{}}}
	for _, s := range sqliteScenarios {
		if r.o.Only != nil && !slices.Contains(r.o.Only, s.name) {
			continue
		}
		r.sides = sides{}
		note, err := s.run(r, ctx)
		if err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
		report.put(s.name, "s", &r.sides, s.target, note)
	}
	return &report.report, nil
}

func (r *sqliteRun) progress(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// inTurn measures both sides, round by round. The side that begins changes with
// the round; what warms up is a round that does not count.
func (r *sqliteRun) inTurn(ctx context.Context, name string, warm bool, coffer, plain func() (time.Duration, error)) error {
	if warm {
		r.progress("%s: warming up", name)
		if _, err := coffer(); err != nil {
			return err
		}
		if _, err := plain(); err != nil {
			return err
		}
	}
	till := time.Now().Add(sqliteTime)
	for n := range r.o.Rounds {
		if n > 0 && time.Now().After(till) {
			r.progress("%s: no time for more than %d rounds", name, n)
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.o.Rounds < 50 || n%50 == 0 {
			r.progress("%s: round %d of %d", name, n+1, r.o.Rounds)
		}
		first, second := coffer, plain
		if n%2 == 1 {
			first, second = plain, coffer
		}
		a, err := first()
		if err != nil {
			return err
		}
		b, err := second()
		if err != nil {
			return err
		}
		if n%2 == 1 {
			a, b = b, a
		}
		r.sides.add(a.Seconds(), b.Seconds())
	}
	return nil
}

func (r *sqliteRun) file(name string) string { return filepath.Join(r.dir, name) }
