package crashtest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
)

// found is what reading a whole volume gave.
type found struct {
	size   int64
	bs     int
	data   []byte
	failed map[int]error // blocks that could not be read, as damaged ones
}

// isDamage reports whether an error says that a block is not what was written.
func isDamage(err error) bool {
	return errors.Is(err, blockstore.ErrDamaged) || errors.Is(err, blockstore.ErrTampered)
}

// readAll reads everything that a transaction sees: at once, and block by block where that fails.
func readAll(tx *blockstore.Tx) (*found, error) {
	f := &found{size: tx.Size(), bs: tx.BlockSize(), data: make([]byte, int(tx.Blocks())*tx.BlockSize())}
	err := tx.ReadInto(0, f.data)
	if err == nil {
		return f, nil
	}
	if !isDamage(err) {
		return nil, fmt.Errorf("read: %w", err)
	}
	f.failed = make(map[int]error)
	for b := range int(tx.Blocks()) {
		switch err := tx.ReadInto(uint64(b), f.data[b*f.bs:][:f.bs]); {
		case err == nil:
		case isDamage(err):
			f.failed[b] = err
		default:
			return nil, fmt.Errorf("read block %d: %w", b, err)
		}
	}
	if len(f.failed) == 0 {
		return nil, fmt.Errorf("read: blocks one by one are fine, all together: %w", err)
	}
	return f, nil
}

func observe(s *blockstore.Store) (f *found, err error) {
	err = s.View(func(tx *blockstore.Tx) error {
		f, err = readAll(tx)
		return err
	})
	return f, err
}

// difference says how f differs from a state, "" if it does not.
func (f *found) difference(want state) string {
	if f.size != want.size {
		return fmt.Sprintf("size %d, want %d", f.size, want.size)
	}
	for b, c := range want.blocks {
		err := f.failed[b]
		p := f.data[b*f.bs:][:f.bs]
		switch {
		case c.isBad() && err == nil:
			return fmt.Sprintf("block %d holds %s, and was damaged", b, describe(p))
		case c.isBad():
		case err != nil:
			return err.Error()
		case c == nil && !isZero(p), c != nil && !bytes.Equal(p, c.data):
			return f.blockDifference(b, c)
		}
	}
	return ""
}

func (f *found) blockDifference(b int, c *content) string {
	want := make([]byte, f.bs)
	c.copyTo(want)
	p := f.data[b*f.bs:][:f.bs]
	at := 0
	for p[at] == want[at] {
		at++
	}
	return fmt.Sprintf("block %d holds %s, want %s, from byte %d on", b, describe(p), describe(want), at)
}

// changed says how two observations differ, "" if they do not.
func (f *found) changed(o *found) string {
	if f.size != o.size {
		return fmt.Sprintf("size %d, then %d", f.size, o.size)
	}
	for b := range len(f.data) / f.bs {
		p, q := f.data[b*f.bs:][:f.bs], o.data[b*f.bs:][:f.bs]
		switch e1, e2 := f.failed[b], o.failed[b]; {
		case (e1 == nil) != (e2 == nil):
			return fmt.Sprintf("block %d: %v, then %v", b, e1, e2)
		case !bytes.Equal(p, q):
			return fmt.Sprintf("block %d held %s, then %s", b, describe(p), describe(q))
		}
	}
	return ""
}

// match finds the state that f is.
func (f *found) match(states []state) (state, error) {
	for _, want := range states {
		if f.difference(want) == "" {
			return want, nil
		}
	}
	return state{}, fmt.Errorf("lost or torn: the volume is in none of %d possible states; against the first: %s; against the last: %s",
		len(states), f.difference(states[0]), f.difference(states[len(states)-1]))
}
