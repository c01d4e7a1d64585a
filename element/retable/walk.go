package retable

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

// row is what was read of one row.
type row struct {
	key Key
	old any
}

// change is what is to be written.
type change struct {
	row
	value any
}

// walk looks at every row from the place on, once.
func (r *run) walk(ctx context.Context) error {
	for {
		rows, err := r.read(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		changes, err := r.convert(ctx, rows)
		if err != nil {
			return err
		}
		r.place.After = rows[len(rows)-1].key
		r.place.Done += int64(len(rows))
		r.report.Seen += int64(len(rows))
		if err := r.write(ctx, changes); err != nil {
			return err
		}
		if r.o.Progress != nil {
			r.o.Progress(Progress{Round: r.report.Rounds, Done: r.place.Done, Total: r.total, Changed: r.place.Changed, Bad: r.round.bad})
		}
		if err := r.pace.wait(ctx, len(changes)); err != nil {
			return err
		}
		if len(rows) < r.o.Batch { // what comes behind it now is the next round's
			return nil
		}
	}
}

// read reads the next batch to its end, so that no statement is open while it is written.
func (r *run) read(ctx context.Context) (list []row, err error) {
	query, args := r.say.first, []any{r.o.Batch}
	if r.place.After != nil {
		query, args = r.say.next, append(append([]any{}, r.place.After...), r.o.Batch)
	}
	err = retry(ctx, func() error {
		list = nil
		rows, err := r.db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			key, v, err := r.say.scan(rows, len(r.say.keys))
			if err != nil {
				return err
			}
			list = append(list, row{key, v})
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("retable: read table %s: %w", r.job.Table, err)
	}
	return list, nil
}

// convert makes new values. A value that cannot be converted is noted and left.
func (r *run) convert(ctx context.Context, rows []row) ([]change, error) {
	var changes []change
	for _, w := range rows {
		v := inspect(w.old)
		context, err := r.contextOf(w.key)
		if err != nil {
			return nil, err
		}
		out, err := r.job.convert(r.c, &v, context)
		switch {
		case err != nil && (fatal(err) || ctx.Err() != nil):
			return nil, err
		case err != nil:
			r.bad(w.key, &v, err)
		case out != nil:
			changes = append(changes, change{w, out})
		}
	}
	return changes, nil
}

// contextOf is what the value of a row is bound to.
func (r *run) contextOf(key Key) ([]byte, error) {
	if r.job.Context == nil {
		return nil, nil
	}
	values := make([]string, len(r.binds))
	for i, at := range r.binds {
		v, err := part(key[at], r.say.hexKeys[at])
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return r.job.Context.Context(values...)
}

// bad notes a value that stays as it is.
func (r *run) bad(key Key, v *cell, err error) {
	r.round.bad++
	if v.sort == sealed || r.job.Do == Encrypt && v.sort != broken {
		r.round.stuck++
	}
	b := BadRow{Row: key.describe(r.say.keys), Key: key, Err: err}
	if len(r.round.rows) < MaxBad {
		r.round.rows = append(r.round.rows, b)
	}
	const most = 100_000 // rows that are remembered; of more, some may be told twice
	if r.told[b.Row] {
		return
	}
	if len(r.told) < most {
		r.told[b.Row] = true
	}
	if r.o.Bad != nil {
		r.o.Bad(b)
	}
}

// write writes a batch, with the place behind it, in one transaction.
func (r *run) write(ctx context.Context, changes []change) error {
	if r.o.DryRun {
		r.report.Changed += int64(len(changes))
		return nil
	}
	if len(changes) == 0 && r.o.Checkpoint == nil {
		return nil
	}
	before := r.place.Changed
	var state []byte
	var raced int64
	err := retry(ctx, func() error {
		r.place.Changed, raced = before, 0
		tx, err := r.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing once it is committed
		if raced, err = r.update(ctx, tx, changes); err != nil {
			return err
		}
		r.place.Changed += int64(len(changes)) - raced
		if r.o.Checkpoint != nil {
			if state, err = r.place.encode(); err != nil {
				return err
			}
			if err := r.o.Checkpoint.save(ctx, tx, r.name, state); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
	if err != nil {
		return fmt.Errorf("retable: write table %s: %w", r.job.Table, err)
	}
	r.report.Changed += r.place.Changed - before
	r.report.Raced += raced
	r.round.raced += raced
	if r.o.Checkpoint != nil {
		return r.o.Checkpoint.saved(ctx, state)
	}
	return nil
}

// update writes each value where the row still holds the old one. It returns how
// many did not.
func (r *run) update(ctx context.Context, tx *sql.Tx, changes []change) (raced int64, err error) {
	if len(changes) == 0 {
		return 0, nil
	}
	st, err := tx.PrepareContext(ctx, r.say.update)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	for _, c := range changes {
		args := append(append([]any{c.value}, c.key...), c.old)
		res, err := st.ExecContext(ctx, args...)
		if err != nil {
			return 0, fault.Hint(fmt.Errorf("row %s: %w", c.key.describe(r.say.keys), err),
				"A ciphertext is longer than its plaintext; the column must take it: text, or varchar of more.")
		}
		n, err := res.RowsAffected()
		if err != nil {
			return 0, err
		}
		switch n {
		case 0:
			raced++
		case 1:
		default:
			return 0, fmt.Errorf("%w: the key %s names %d rows with the same value; it must be unique", fault.State, c.key.describe(r.say.keys), n)
		}
	}
	return raced, nil
}

// attempts is how often what may succeed when tried again is tried.
const attempts = 8

// retry tries again what a database says to try again, a little later each time.
func retry(ctx context.Context, do func() error) error {
	for i := 1; ; i++ {
		err := do()
		if err == nil || i == attempts || !again(err) || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, time.Duration(i*i)*5*time.Millisecond); err != nil {
			return err
		}
	}
}

// pacer keeps to a number of values a second.
type pacer struct {
	rate float64 // 0: no limit
	next time.Time
	now  func() time.Time                           // nil: the system's
	nap  func(context.Context, time.Duration) error // nil: sleep
}

// wait waits as long as n values take.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p.rate == 0 || n == 0 {
		return ctx.Err()
	}
	now, nap := time.Now, sleep
	if p.now != nil {
		now, nap = p.now, p.nap
	}
	t := now()
	if p.next.Before(t) {
		p.next = t
	}
	p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return nap(ctx, p.next.Sub(t))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func describeNames(keys []string) string {
	shown := make([]string, len(keys))
	for i, k := range keys {
		shown[i] = show(k)
	}
	return strings.Join(shown, ", ")
}
