package retable

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Checkpoint keeps a run's place, so that another one goes on there: [InFile] or
// [InTable]. It names the job; that of another job is refused. When the work is
// done it is removed.
type Checkpoint interface {
	// load returns nil where there is none.
	load(ctx context.Context, db *sql.DB, job string) ([]byte, error)
	// save is called in the transaction of each batch, and saved after it was committed.
	save(ctx context.Context, tx querier, job string, state []byte) error
	saved(ctx context.Context, state []byte) error
	remove(ctx context.Context, db *sql.DB, job string) error
}

var _, _ Checkpoint = file{}, inTable{}

// maxCheckpoint bounds what is read, in bytes.
const maxCheckpoint = 1 << 20

// file is a checkpoint in a file.
type file struct {
	fs   fsx.FS
	path string
}

// InFile keeps the place in a file, replaced as a whole after each batch. It
// holds values of the table's key and no others.
func InFile(path string) Checkpoint { return file{fsx.OS(), path} }

func (f file) load(context.Context, *sql.DB, string) ([]byte, error) {
	in, err := f.fs.Open(f.path, 0, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("retable: checkpoint: %w", err)
	}
	defer in.Close()
	state, err := io.ReadAll(io.NewSectionReader(in, 0, maxCheckpoint))
	if err != nil {
		return nil, fmt.Errorf("retable: checkpoint: %w", err)
	}
	return state, nil
}

func (f file) save(context.Context, querier, string, []byte) error { return nil }

func (f file) saved(_ context.Context, state []byte) error {
	err := fsx.Replace(f.fs, f.path, 0o600, func(out fsx.File) error {
		_, err := out.WriteAt(state, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("retable: checkpoint: %w", err)
	}
	return nil
}

func (f file) remove(context.Context, *sql.DB, string) error {
	if err := f.fs.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("retable: checkpoint: %w", err)
	}
	return nil
}

// inTable is a checkpoint in a table of the database.
type inTable struct{ name Name }

// InTable keeps the place in a table of the same database, in the transaction of
// each batch. The table has the columns job and state and is made where it is not there.
func InTable(name Name) Checkpoint { return inTable{name} }

func (t inTable) load(ctx context.Context, db *sql.DB, job string) ([]byte, error) {
	_, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.name.quoted()+" (job TEXT PRIMARY KEY, state TEXT NOT NULL)")
	if err != nil {
		return nil, fmt.Errorf("retable: checkpoint: %w", err)
	}
	var state string
	err = db.QueryRowContext(ctx, "SELECT state FROM "+t.name.quoted()+" WHERE job = $1", job).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("retable: checkpoint: %w", err)
	}
	return []byte(state), nil
}

func (t inTable) save(ctx context.Context, tx querier, job string, state []byte) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO "+t.name.quoted()+" (job, state) VALUES ($1, $2)"+
		" ON CONFLICT (job) DO UPDATE SET state = excluded.state", job, string(state))
	if err != nil {
		return fmt.Errorf("retable: checkpoint: %w", err)
	}
	return nil
}

func (t inTable) saved(context.Context, []byte) error { return nil }

func (t inTable) remove(ctx context.Context, db *sql.DB, job string) error {
	if _, err := db.ExecContext(ctx, "DELETE FROM "+t.name.quoted()+" WHERE job = $1", job); err != nil {
		return fmt.Errorf("retable: checkpoint: %w", err)
	}
	return nil
}

// place is what a checkpoint holds.
type place struct {
	Version int    `json:"version"`
	Job     string `json:"job"`
	After   Key    `json:"after"` // of the last row that was looked at
	Done    int64  `json:"done"`  // rows looked at in this round
	Changed int64  `json:"changed"`
}

const placeVersion = 1

func (p *place) encode() ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("retable: checkpoint: %w", err)
	}
	return append(b, '\n'), nil
}

// decodePlace reads a checkpoint of this job, whose key has this many columns.
func decodePlace(state []byte, job string, keys int) (*place, error) {
	p := new(place)
	if err := json.Unmarshal(state, p); err != nil {
		return nil, fault.Hint(fmt.Errorf("retable: checkpoint: %w: %w", fault.Damaged, err), "Remove it: the work then begins anew and skips what is done.")
	}
	switch {
	case p.Version != placeVersion:
		return nil, fmt.Errorf("retable: checkpoint: %w: %d", fault.Version, p.Version)
	case p.Job != job:
		return nil, fault.Hint(fmt.Errorf("retable: checkpoint: %w: it is of another job: %s", fault.State, p.Job),
			"Finish that one, or name another checkpoint.")
	case len(p.After) != keys:
		return nil, fmt.Errorf("retable: checkpoint: %w: a key of %d columns", fault.Damaged, len(p.After))
	}
	return p, nil
}
