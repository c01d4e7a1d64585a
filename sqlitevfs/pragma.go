package sqlitevfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Pragma answers the pragmas of this package, and listens to some of SQLite's own.
// SQLite runs them while it prepares a statement.
func (f *file) Pragma(name, value string) (string, error) {
	switch name {
	case "experimental_pragma_20251114": // the next lock is for a write transaction
		f.writing = true
	case "locking_mode":
		return "", f.lockingMode(value)
	case "journal_mode":
		if strings.EqualFold(value, "wal") { // under locking_mode=EXCLUSIVE SQLite would try
			return "delete", nil
		}
	case "coffer_info":
		return f.answer(func(s *blockstore.Store) (string, error) { return f.info(s) })
	case "coffer_rekey":
		return f.answer(func(s *blockstore.Store) (string, error) { return f.rekey(s, value) })
	case "coffer_verify":
		return f.answer(f.verify)
	case "coffer_anchor":
		return f.answer(func(s *blockstore.Store) (string, error) {
			if err := s.Sync(context.Background()); err != nil {
				return "", err
			}
			return s.Anchor().String(), nil
		})
	}
	return "", sqlite3.NOTFOUND
}

// lockingMode takes the writer's place for a connection that wants the database
// for itself: SQLite then keeps its first snapshot, which must not become stale.
func (f *file) lockingMode(value string) error {
	switch {
	case strings.EqualFold(value, "normal"):
		f.exclusive = false
	case strings.EqualFold(value, "exclusive") && !f.exclusive:
		if f.tx != nil && !f.owner {
			return fmt.Errorf("sqlitevfs: locking_mode=EXCLUSIVE inside a read transaction: %w", fault.State)
		}
		f.exclusive = true
	}
	return sqlite3.NOTFOUND
}

// answer runs one of our own pragmas.
func (f *file) answer(do func(*blockstore.Store) (string, error)) (string, error) {
	s := f.db.store.Load()
	switch {
	case s == nil:
		return "", errors.New("the database was not written yet")
	case f.tx != nil && f.tx.Writable():
		return "", errors.New("not inside a write transaction")
	}
	out, err := do(s)
	if hint := fault.HintOf(err); hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	return out, err
}

func marshal(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// info is what the volume says of itself.
func (f *file) info(s *blockstore.Store) (string, error) {
	i, err := s.Info()
	if err != nil {
		return "", err
	}
	return marshal(i)
}

// verify is "ok", or what is wrong, one problem a line.
func (f *file) verify(s *blockstore.Store) (string, error) {
	r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
	switch {
	case err != nil:
		return "", err
	case r.Err() == nil:
		return "ok", nil
	}
	var b strings.Builder
	for i, p := range r.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s", p.Kind, p.Detail)
	}
	return b.String(), nil
}

// rekeying is a conversion that a pragma began.
type rekeying struct {
	mu   sync.Mutex // guards the fields below
	conv *blockstore.Converter
	to   dek.ID
}

// forget is for a volume that was closed, which stops a conversion where it is.
func (r *rekeying) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conv = nil
}

// rekey begins a conversion to the key of that ID, which the keyring has, or
// drives the one under way: pause, resume, stop, wait, and nothing for where it is.
func (f *file) rekey(s *blockstore.Store, value string) (string, error) {
	r := &f.db.rekey
	r.mu.Lock()
	c := r.conv
	r.mu.Unlock()
	word := strings.ToLower(value)
	switch word {
	case "", "pause", "resume", "stop", "wait":
		if c == nil {
			return "", fmt.Errorf("no re-key was begun: PRAGMA coffer_rekey='KEY-ID' does")
		}
	default:
		var err error
		if c, err = r.begin(s, value); err != nil {
			return "", err
		}
	}
	switch word {
	case "pause":
		c.Pause()
	case "resume":
		c.Resume()
	case "stop":
		c.Stop()
	case "wait":
		if f.tx != nil {
			return "", errors.New("not inside a read transaction: its snapshot would hold up the end")
		}
		if _, err := c.Wait(); err != nil {
			return "", err
		}
	}
	return marshal(c.Progress())
}

// begin begins or resumes the conversion to a key. Asked for one that runs it does nothing: SQLite may prepare a statement twice.
func (r *rekeying) begin(s *blockstore.Store, value string) (*blockstore.Converter, error) {
	id, err := dek.ParseID(value)
	if err != nil {
		return nil, fmt.Errorf("coffer_rekey takes the ID of an activated key, or pause, resume, stop, wait: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conv != nil && r.to == id {
		select {
		case <-r.conv.Done():
		default:
			return r.conv, nil
		}
	}
	c, err := s.Convert(context.Background(), blockstore.Conversion{Key: id})
	if err != nil {
		return nil, err
	}
	r.conv, r.to = c, id
	return c, nil
}
