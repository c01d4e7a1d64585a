package retable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// MaxBad is how many rows an error or a report lists at most.
const MaxBad = 1000

// Options of a run. nil, or the zero value, is the usual one.
type Options struct {
	// Batch is how many rows are read, and at most written, at a time: 1 to
	// 10,000; 0 is 500. A live writer may have to wait for a batch to be written.
	Batch int
	// Rate is how many values are written a second at most; 0 is no limit.
	Rate float64
	// Rounds is how often the table is walked at most while counts find values
	// that are left; 0 is 10.
	Rounds int
	// DryRun reads and converts all values, and writes none.
	DryRun bool
	// Checkpoint remembers the place; nil does not.
	Checkpoint Checkpoint
	// Progress is told how far the work is, after each batch.
	Progress func(Progress)
	// Bad is told of each value that is left as it is because of what it is, as it
	// is found; once for each row.
	Bad func(BadRow)
}

// check fills in defaults.
func (o *Options) check() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Batch == 0 {
		out.Batch = 500
	}
	if out.Rounds == 0 {
		out.Rounds = 10
	}
	switch {
	case out.Batch < 1 || out.Batch > 10_000:
		return out, fmt.Errorf("retable: %w: batches have 1 to 10,000 rows, not %d", fault.Usage, out.Batch)
	case out.Rounds < 1:
		return out, fmt.Errorf("retable: %w: there is at least one round, not %d", fault.Usage, out.Rounds)
	case out.Rate < 0 || math.IsNaN(out.Rate) || math.IsInf(out.Rate, 0):
		return out, fmt.Errorf("retable: %w: a rate of %v values a second", fault.Usage, out.Rate)
	}
	if out.Rate > 0 { // a batch is not more than a second's work
		out.Batch = min(out.Batch, max(1, int(out.Rate)))
	}
	return out, nil
}

// Progress is how far a run is.
type Progress struct {
	Round   int   // from 1
	Done    int64 // values looked at in this round, those before a checkpoint included
	Total   int64 // values there were when the run began
	Changed int64 // values written so far, in all rounds
	Bad     int64 // left as they are, in this round
}

// Report is what a run did.
type Report struct {
	Operation Operation     `json:"operation"`
	Table     string        `json:"table"`
	Column    string        `json:"column"`
	From      *dek.ID       `json:"from,omitempty"`
	To        *dek.ID       `json:"to,omitempty"`
	DryRun    bool          `json:"dry_run,omitempty"`
	Resumed   bool          `json:"resumed,omitempty"` // a checkpoint was there
	Rounds    int           `json:"rounds"`
	Seen      int64         `json:"seen"`    // values looked at, in all rounds of this run
	Changed   int64         `json:"changed"` // values written, or that a dry run would write
	Raced     int64         `json:"raced"`   // values that somebody else had, or wrote, in between; looked at again
	Bad       int64         `json:"bad"`     // values left as they are, in the last round
	Count     *Census       `json:"count"`   // the last count, as of one moment after the last round
	Left      int64         `json:"left"`    // of those: still to be converted
	Elapsed   time.Duration `json:"-"`
}

// Run does a job on a database and returns what it did, with or without an error.
// Without one the last count found nothing left to convert, and no value was
// left as it was. With a dry run Left says what there is to do.
//
// The cipher must have the keys: Job.To to encrypt, those of the values to decrypt. Of db one
// connection is used at a time; of the same job several runs may go on at once.
//
// It stops when ctx ends, with its error; what is committed by then stays, and a
// run with the same checkpoint goes on.
//
// Errors: [IncompleteError]; [ErrState] when rounds run out because somebody
// goes on writing under the old key; [ErrUsage]; [ErrUnsupported]; those of the
// database, and of the cipher before anything was done.
func Run(ctx context.Context, db *sql.DB, d Dialect, c Cipher, j Job, o *Options) (*Report, error) {
	began := time.Now()
	r, err := prepare(ctx, db, d, c, j, o)
	if err != nil {
		return nil, err
	}
	err = r.rounds(ctx)
	if stop := ctx.Err(); stop != nil && err != nil && !errors.Is(err, stop) { // a driver says it in its own way
		err = fmt.Errorf("%w: %w", stop, err)
	}
	r.report.Elapsed = time.Since(began)
	return &r.report, err
}

// run is one call of Run.
type run struct {
	db     *sql.DB
	c      Cipher
	job    Job
	o      Options
	say    *statements
	binds  []int // which values of the key the context takes
	name   string
	place  place
	total  int64
	pace   pacer
	report Report
	round  roundState
	told   map[string]bool // rows that Options.Bad knows
}

// roundState is what is counted anew in each round.
type roundState struct {
	raced int64
	bad   int64
	stuck int64 // of bad: those that a count finds as left
	rows  []BadRow
}

// prepare finds everything out that can be wrong before a value is read.
func prepare(ctx context.Context, db *sql.DB, d Dialect, c Cipher, j Job, o *Options) (*run, error) {
	opts, err := o.check()
	if err != nil {
		return nil, err
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	if err := j.ready(c); err != nil {
		return nil, err
	}
	r := &run{db: db, c: c, job: j, o: opts, told: map[string]bool{}, pace: pacer{rate: opts.Rate}}
	if r.say, err = describe(ctx, db, d, &j); err != nil {
		return nil, err
	}
	if r.binds, err = j.bindings(r.say.keys); err != nil {
		return nil, err
	}
	if err := r.keysWhole(ctx); err != nil {
		return nil, err
	}
	r.name = j.name(d, r.say.keys)
	r.place = place{Version: placeVersion, Job: r.name}
	r.report = Report{Operation: j.Do, Table: j.Table.String(), Column: j.Column, DryRun: opts.DryRun, From: idOf(j.From), To: idOf(j.To)}
	if err := r.resume(ctx); err != nil {
		return nil, err
	}
	if err := db.QueryRowContext(ctx, r.say.total).Scan(&r.total); err != nil {
		return nil, fmt.Errorf("retable: %w", err)
	}
	return r, nil
}

func idOf(id dek.ID) *dek.ID {
	if id.IsZero() {
		return nil
	}
	return &id
}

// keysWhole refuses keys with a null in them, which no comparison finds. SQLite
// allows them even in a primary key.
func (r *run) keysWhole(ctx context.Context) error {
	var null bool
	if err := r.db.QueryRowContext(ctx, r.say.nullKeys).Scan(&null); err != nil {
		return fmt.Errorf("retable: table %s: %w", r.job.Table, err)
	}
	if null {
		return fault.Hint(fmt.Errorf("retable: %w: table %s has rows with a null in the key %s, which nothing can address", fault.State, r.job.Table,
			describeNames(r.say.keys)), "Name a key that is never null; in SQLite that is rowid.")
	}
	return nil
}

// resume reads the checkpoint. A dry run looks at everything.
func (r *run) resume(ctx context.Context) error {
	if r.o.Checkpoint == nil || r.o.DryRun {
		return nil
	}
	state, err := r.o.Checkpoint.load(ctx, r.db, r.name)
	if err != nil || state == nil {
		return err
	}
	p, err := decodePlace(state, r.name, len(r.say.keys))
	if err != nil {
		return err
	}
	r.place, r.report.Resumed = *p, true
	return nil
}

// rounds walks the table until a count finds nothing left.
func (r *run) rounds(ctx context.Context) error {
	for {
		whole := r.place.After == nil // else it begins where another run stopped
		r.report.Rounds++
		r.round = roundState{}
		if err := r.walk(ctx); err != nil {
			return err
		}
		c, err := r.say.count(ctx, r.db)
		if err != nil {
			return err
		}
		r.report.Count, r.report.Left, r.report.Bad = c, r.job.left(c), r.round.bad
		switch {
		case r.o.DryRun || whole && r.settled() || !whole && r.job.clean(c):
			return r.done(ctx)
		case r.report.Rounds >= r.o.Rounds:
			return r.notEnough()
		}
		if r.round.raced > 0 { // somebody has those rows: give them time
			n := time.Duration(r.report.Rounds)
			if err := sleep(ctx, n*n*50*time.Millisecond); err != nil {
				return err
			}
		}
		r.place.After, r.place.Done = nil, 0
	}
}

// settled reports whether a whole round left nothing that another one could do:
// what is left is what cannot be done.
func (r *run) settled() bool {
	return r.report.Left == 0 || r.report.Left <= r.round.stuck && r.round.raced == 0
}

// done ends the work; values that were left as they are make an error of it.
func (r *run) done(ctx context.Context) error {
	if r.o.Checkpoint != nil && !r.o.DryRun {
		if err := r.o.Checkpoint.remove(ctx, r.db, r.name); err != nil {
			return err
		}
	}
	if r.round.bad == 0 {
		return nil
	}
	return &IncompleteError{Bad: r.round.bad, Rows: r.round.rows, Left: r.report.Left}
}

// notEnough ends the work while values are left that could be done.
func (r *run) notEnough() error {
	if r.round.raced > 0 {
		return fault.Hint(fmt.Errorf("retable: %w: after %d rounds %d values are still to be done: in the last one somebody else had, or wrote, %d of their rows",
			fault.State, r.report.Rounds, r.report.Left, r.round.raced), "End transactions that hold rows of the table, then run it again.")
	}
	return fault.Hint(fmt.Errorf("retable: %w: after %d rounds %d values are still to be done: somebody goes on writing such values",
		fault.State, r.report.Rounds, r.report.Left), "Let all writers use the new key, then run it again.")
}
