package crashtest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fsx"
)

// update commits a few random changes, durable or lazy.
func (p *program) update() error {
	lazy := p.rng.IntN(4) == 0
	p.note("update lazy=%v", lazy)
	return p.commit(p.rng, 1+p.rng.IntN(3), lazy)
}

// edit is a change of a transaction.
type edit func(*blockstore.Tx) error

// commit makes random changes one commit. It is for any goroutine, each with its own rng.
func (p *program) commit(rng *rand.Rand, changes int, lazy bool) error {
	do := p.store.Update
	if lazy {
		do = p.store.UpdateLazy
	}
	n := int64(-1)
	err := do(func(tx *blockstore.Tx) error {
		want := p.ledger.head().clone()
		if rng.IntN(16) == 0 {
			if err := sees(tx, want); err != nil {
				return fmt.Errorf("a writer does not see what was committed: %w", err)
			}
		}
		var edits []edit
		for range changes {
			edits = append(edits, p.edit(rng, &want))
		}
		n = p.ledger.begin(want)
		for _, e := range edits {
			if err := e(tx); err != nil {
				return err
			}
		}
		if rng.IntN(16) == 0 {
			if err := sees(tx, want); err != nil {
				return fmt.Errorf("a writer does not see its own changes: %w", err)
			}
		}
		return nil
	})
	return p.committed(n, lazy, err)
}

func sees(tx *blockstore.Tx, want state) error {
	f, err := readAll(tx)
	if err != nil {
		return err
	}
	if d := f.difference(want); d != "" {
		return errors.New(d)
	}
	return nil
}

// committed takes the outcome of commit n into the ledger: what was not durable
// when the process died, or whose outcome is unknown, may be there; what failed
// otherwise must not. n is -1 where the commit was not even begun.
func (p *program) committed(n int64, lazy bool, err error) error {
	switch {
	case n < 0:
	case err == nil && lazy:
		p.ledger.done(n)
	case err == nil:
		p.ledger.settle(n)
	case isDead(err), errors.Is(err, blockstore.ErrOutcomeUnknown):
	case !p.ledger.withdraw(n):
		return fmt.Errorf("a commit failed after others had built on it: %w", err)
	}
	return err
}

// isDead reports whether an error is of a process that was killed or a machine without power.
func isDead(err error) bool { return errors.Is(err, fsx.ErrKilled) || errors.Is(err, fsx.ErrPowerCut) }

func (p *program) newID() uint32 { return p.next.Add(1) }

// edit changes the model and returns the change to make in the volume.
func (p *program) edit(rng *rand.Rand, want *state) edit {
	n := len(want.blocks)
	kind := rng.IntN(20)
	switch {
	case kind == 0 || n == 0:
		return p.resize(rng, want)
	case kind == 1:
		first := rng.IntN(n)
		count := 1 + rng.IntN(n-first)
		clear(want.blocks[first : first+count])
		return func(tx *blockstore.Tx) error { return tx.Trim(uint64(first), uint64(count)) }
	case kind < 5: // a run, sometimes all of it
		first := rng.IntN(n)
		return p.write(want, first, 1+rng.IntN(min(n-first, 1<<rng.IntN(8))))
	default:
		return p.write(want, rng.IntN(n), 1)
	}
}

func (p *program) write(want *state, first, count int) edit {
	id := p.newID()
	pages := make([][]byte, count)
	for i := range pages {
		pages[i] = p.page(id, uint64(first+i))
		if end := want.size - int64(first+i)*int64(p.config.blockSize); !tails && end < int64(p.config.blockSize) {
			clear(pages[i][end:])
		}
		want.blocks[first+i] = newContent(pages[i])
	}
	return func(tx *blockstore.Tx) error {
		for i, page := range pages {
			if err := tx.Write(uint64(first+i), page); err != nil {
				return err
			}
		}
		return nil
	}
}

func (p *program) resize(rng *rand.Rand, want *state) edit {
	size := p.length(rng, *want)
	want.resize(size, p.config.blockSize)
	return func(tx *blockstore.Tx) error { return tx.Resize(size) }
}

// length chooses another length, in whole blocks or not. It does not cut through a damaged block.
func (p *program) length(rng *rand.Rand, s state) int64 {
	bs := p.config.blockSize
	size := int64(rng.IntN(p.config.blocks*2+2)) * int64(bs)
	switch rng.IntN(4) {
	case 0:
		size += int64(rng.IntN(bs))
	case 1:
		size = max(0, size-1+int64(rng.IntN(3)))
	}
	if s.cutsBad(size, bs) {
		return s.size
	}
	return size
}

// bytes uses the volume as a file.
func (p *program) bytes() error {
	p.note("bytes")
	f := p.store.File()
	for range 1 + p.rng.IntN(4) {
		var err error
		switch p.rng.IntN(8) {
		case 0:
			err = p.truncate(f)
		case 1:
			err = p.acknowledged(f.Sync)
		case 2, 3, 4:
			err = p.readAt(f)
		default:
			err = p.writeAt(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *program) truncate(f *blockstore.File) error {
	want := p.ledger.head().clone()
	size := p.length(p.rng, want)
	want.resize(size, p.config.blockSize)
	n := p.ledger.begin(want)
	if err := p.committed(n, true, f.Truncate(size)); err != nil {
		return fmt.Errorf("truncate to %d: %w", size, err)
	}
	if got := f.Size(); got != size && !p.doubt {
		return fmt.Errorf("a file of %d bytes was truncated to %d and has %d", p.ledger.head().size, size, got)
	}
	return nil
}

func (p *program) writeAt(f *blockstore.File) error {
	bs := p.config.blockSize
	want := p.ledger.head().clone()
	off := p.rng.Int64N(want.size + int64(bs))
	data := make([]byte, 1+p.rng.IntN(3*bs))
	if limit := int64(2*p.config.blocks+2) * int64(bs); off+int64(len(data)) > limit {
		off = 0
	}
	if end := off + int64(len(data)); end > want.size && want.cutsBad(end, bs) {
		return nil // what the rest of a damaged block reads as is for nobody to say
	}
	fill(data, p.newID(), uint64(off))
	fits := want.writeBytes(data, off, bs)
	n := int64(-1)
	if fits {
		n = p.ledger.begin(want)
	}
	k, err := f.WriteAt(data, off)
	if !fits {
		if isDamage(err) {
			return nil
		}
		if err != nil { // for another reason, which the caller knows or not
			return fmt.Errorf("write %d bytes at %d, into a damaged block: %w", len(data), off, err)
		}
		return fmt.Errorf("%d bytes at %d were written into a damaged block", len(data), off)
	}
	if err = p.committed(n, true, err); err != nil {
		return fmt.Errorf("write %d bytes at %d: %w", len(data), off, err)
	}
	if k != len(data) {
		return fmt.Errorf("%d of %d bytes were written at %d without an error", k, len(data), off)
	}
	return nil
}

// readAt checks that the file shows every write so far. After a failure it may show less.
func (p *program) readAt(f *blockstore.File) error {
	states := []state{p.ledger.head()}
	if p.doubt {
		states = p.ledger.possible()
	}
	off := p.rng.Int64N(p.ledger.head().size + 2)
	got := make([]byte, 1+p.rng.IntN(3*p.config.blockSize))
	n, err := f.ReadAt(got, off)
	var why error
	for _, want := range states {
		if why = p.hasRead(want, got, off, n, err); why == nil {
			return nil
		}
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(got), off, why)
}

// look checks what readers see: a state that can be durable, and through the file all that was written.
func (p *program) look() error {
	p.note("look")
	if err := p.glance(); err != nil {
		return err
	}
	head := p.ledger.head()
	got := make([]byte, head.size+1)
	n, err := p.store.File().ReadAt(got, 0)
	if why := p.hasRead(head, got, 0, n, err); why != nil {
		return fmt.Errorf("read the whole file: %w", why)
	}
	return nil
}

// hasRead checks a read of the file against a state.
func (p *program) hasRead(want state, got []byte, off int64, n int, err error) error {
	there := int(min(int64(len(got)), max(0, want.size-off)))
	data, readable := want.bytes(off, there, p.config.blockSize)
	switch {
	case !readable && !isDamage(err):
		return fmt.Errorf("a damaged block among them, and %d bytes, %v", n, err)
	case !readable:
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case n != there, (err != nil) != (n < len(got)):
		return fmt.Errorf("%d bytes of %d, %v", n, want.size, err)
	}
	for i := range data {
		if got[i] != data[i] {
			return fmt.Errorf("byte %d is %#x, want %#x", off+int64(i), got[i], data[i])
		}
	}
	return nil
}
