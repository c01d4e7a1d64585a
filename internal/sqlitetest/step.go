package sqlitetest

import (
	"errors"
	"fmt"
	"maps"

	"github.com/ncruces/go-sqlite3"
)

// step does one thing.
func (p *program) step() error {
	switch n := p.rng.IntN(20); {
	case n < 12:
		return p.transaction()
	case n < 14:
		return p.single()
	case n < 15:
		return p.conn.Exec("VACUUM")
	case n < 18:
		return p.look()
	case n < 19:
		return p.rekey()
	default:
		return p.repage()
	}
}

// exec changes the table and the rows alike.
func (p *program) exec(r rows, sql string, id int64, v []byte) error {
	s, _, err := p.conn.Prepare(sql)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.BindInt64(1, id); err != nil {
		return err
	}
	if v != nil {
		if err := s.BindBlob(2, v); err != nil {
			return err
		}
		r[id] = digest(v)
	} else {
		delete(r, id)
	}
	return s.Exec()
}

// change writes or deletes a row.
func (p *program) change(r rows) error {
	id := p.rng.Int64N(120)
	if p.rng.IntN(4) == 0 {
		return p.exec(r, "DELETE FROM t WHERE id=?", id, nil)
	}
	v := make([]byte, p.rng.IntN(1<<(1+p.rng.IntN(14))))
	for i := range v {
		v[i] = byte(p.rng.Uint32())
	}
	return p.exec(r, "INSERT OR REPLACE INTO t (id, v) VALUES (?, ?)", id, v)
}

// single is a statement that is a transaction.
func (p *program) single() error {
	next := maps.Clone(p.model.now)
	return p.outcome(next, p.change(next))
}

// transaction is several changes, some of them undone.
func (p *program) transaction() error {
	kind := []string{"DEFERRED", "IMMEDIATE", "EXCLUSIVE"}[p.rng.IntN(3)]
	if err := p.conn.Exec("BEGIN " + kind); err != nil {
		return err
	}
	next := maps.Clone(p.model.now)
	for n := p.rng.IntN(1 << p.rng.IntN(7)); n >= 0; n-- {
		if err := p.change(next); err != nil {
			return err
		}
		if p.rng.IntN(12) == 0 {
			if err := p.savepoint(next); err != nil {
				return err
			}
		}
	}
	if p.rng.IntN(4) == 0 {
		if err := p.conn.Exec("ROLLBACK"); err != nil {
			return err
		}
		return p.compare(p.conn, p.model.now)
	}
	return p.outcome(next, p.conn.Exec("COMMIT"))
}

// savepoint changes something and goes back.
func (p *program) savepoint(r rows) error {
	undone := maps.Clone(r)
	if err := p.conn.Exec("SAVEPOINT s"); err != nil {
		return err
	}
	for range 1 + p.rng.IntN(20) {
		if err := p.change(undone); err != nil {
			return err
		}
	}
	return p.conn.Exec("ROLLBACK TO s; RELEASE s")
}

// outcome tells the model what came of a commit.
func (p *program) outcome(next rows, err error) error {
	if err != nil {
		p.model.maybe(next)
		return err
	}
	p.model.commit(next, !p.lazy)
	p.commits++
	return nil
}

func (p *program) compare(c *sqlite3.Conn, want rows) error {
	got, err := contents(c)
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("there are %v, expected were %v", got, want)
	}
	return nil
}

// look begins or ends a read transaction on another connection, or reads in it: it sees what it has seen before.
func (p *program) look() error {
	var err error
	if p.reader == nil {
		if p.reader, err = p.connect(); err != nil {
			return err
		}
	}
	if p.seen == nil {
		if err := p.reader.Exec("BEGIN"); err != nil {
			return err
		}
		p.seen = maps.Clone(p.model.now)
		return p.compare(p.reader, p.seen)
	}
	if err := p.compare(p.reader, p.seen); err != nil {
		return fmt.Errorf("an open read transaction: %w", err)
	}
	if p.rng.IntN(2) == 0 {
		p.seen = nil
		return p.reader.Exec("COMMIT")
	}
	return nil
}

// rekey begins a re-key to the other key, which goes on beside the program.
func (p *program) rekey() error {
	if p.opts.Volume.Suite.String() == "none" {
		return nil
	}
	err := p.conn.Exec(fmt.Sprintf("PRAGMA coffer_rekey='%s'", p.ids[p.rng.IntN(2)]))
	if errors.Is(err, sqlite3.ERROR) {
		return nil // one runs to another key, or it is that key already
	}
	return err
}

// repage changes the page size.
func (p *program) repage() error {
	return p.conn.Exec(fmt.Sprintf("PRAGMA page_size=%d; VACUUM", 512<<p.rng.IntN(6)))
}
