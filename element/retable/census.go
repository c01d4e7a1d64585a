package retable

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/cofferdb/coffer/dek"
)

// Census counts the values of a column by the key that their headers name. Nulls
// are not counted.
type Census struct {
	Values int64            `json:"values"` // all that follow
	Keys   map[dek.ID]int64 `json:"keys"`   // by key
	Plain  int64            `json:"plain"`  // none of ours, of some length
	Empty  int64            `json:"empty"`  // of no length
	Broken int64            `json:"broken"` // begin as ours do, and are cut short or altered
}

// Count reads every value of a column in one statement, and therefore as of one
// moment, and counts them by key. It needs no keys. Of the job it takes Table,
// Column and Key.
func Count(ctx context.Context, db *sql.DB, d Dialect, j Job) (*Census, error) {
	if err := j.checkNames(); err != nil {
		return nil, err
	}
	s, err := describe(ctx, db, d, &j)
	if err != nil {
		return nil, err
	}
	return s.count(ctx, db)
}

func (s *statements) count(ctx context.Context, db querier) (*Census, error) {
	rows, err := db.QueryContext(ctx, s.all)
	if err != nil {
		return nil, fmt.Errorf("retable: count: %w", err)
	}
	defer rows.Close()
	c := &Census{Keys: map[dek.ID]int64{}}
	for rows.Next() {
		v, err := s.value(rows)
		if err != nil {
			return nil, fmt.Errorf("retable: count: %w", err)
		}
		c.Add(v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("retable: count: %w", err)
	}
	return c, nil
}

// Add counts one more value: a string, a []byte, or what a driver returns for a
// value that is neither.
func (c *Census) Add(value any) {
	v := inspect(value)
	c.Values++
	if c.Keys == nil {
		c.Keys = map[dek.ID]int64{}
	}
	switch v.sort {
	case plain:
		c.Plain++
	case empty:
		c.Empty++
	case sealed:
		c.Keys[v.header.Key]++
	case broken:
		c.Broken++
	}
}
