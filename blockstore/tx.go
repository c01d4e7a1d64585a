package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Tx is a transaction. One that is given to a function is used by the goroutine
// that runs it, and only until the function returns; one of [Store.Begin] by one
// goroutine at a time, until it is ended.
type Tx struct {
	s        *Store
	snap     uint64   // versions up to here are seen; all of them by a writer
	size     int64    // of a reader; a writer's is in state
	state    *txState // nil in a reader
	before   int64    // size when a writer began
	span     *txSpan  // set once part records went out
	err      error    // of a write that went out in part: there is nothing whole to commit any more
	finished bool
	placed   bool      // the commit has its place in the journal
	reader   *snapshot // of a transaction of [Store.Begin] that does not write
	explicit bool      // it is one of [Store.Begin]
}

const latest = ^uint64(0)

// Size returns the volume's length in bytes as the transaction sees it.
func (tx *Tx) Size() int64 {
	if tx.state != nil {
		return tx.state.size
	}
	return tx.size
}

// Blocks returns the number of blocks that hold Size bytes.
func (tx *Tx) Blocks() uint64 { return tx.s.lay.blocks(tx.Size()) }

// BlockSize returns the size of a block in bytes.
func (tx *Tx) BlockSize() int { return int(tx.s.lay.blockSize) }

// Writable reports whether the transaction may write.
func (tx *Tx) Writable() bool { return tx.state != nil }

func (tx *Tx) check(first, n uint64) error {
	switch {
	case tx.finished:
		return fmt.Errorf("blockstore: the transaction has ended: %w", fault.Usage)
	case tx.err != nil:
		return tx.err
	case n > tx.Blocks() || first > tx.Blocks()-n:
		return fmt.Errorf("blockstore: blocks %d to %d are out of range, the volume has %d: %w", first, first+n-1, tx.Blocks(), fault.Usage)
	}
	return nil
}

// Read returns the contents of a block, BlockSize bytes. The slice is the
// caller's to read until the transaction ends; what is written into it is lost.
func (tx *Tx) Read(block uint64) ([]byte, error) {
	page := make([]byte, tx.s.lay.blockSize)
	if err := tx.ReadInto(block, page); err != nil {
		return nil, err
	}
	return page, nil
}

// ReadInto reads len(dst)/BlockSize blocks from first on into dst, which must
// be a whole number of blocks long. Blocks not in memory are read and opened in batches.
func (tx *Tx) ReadInto(first uint64, dst []byte) error {
	bs := int(tx.s.lay.blockSize)
	if len(dst)%bs != 0 {
		return fmt.Errorf("blockstore: %d bytes are not a whole number of blocks: %w", len(dst), fault.Usage)
	}
	n := uint64(len(dst) / bs)
	if err := tx.check(first, n); err != nil {
		return err
	}
	if tx.state == nil {
		return tx.s.readRun(tx.snap, first, dst)
	}
	return tx.readOwn(first, dst)
}

// readOwn reads with the transaction's own writes on top.
func (tx *Tx) readOwn(first uint64, dst []byte) error {
	bs := int(tx.s.lay.blockSize)
	for i := 0; i < len(dst); {
		b, d := first+uint64(i/bs), dst[i:i+bs]
		w, hole, own := tx.state.find(b)
		if !own {
			j := i + bs
			for ; j < len(dst); j += bs {
				if _, _, own := tx.state.find(first + uint64(j/bs)); own {
					break
				}
			}
			if err := tx.s.readRun(latest, b, dst[i:j]); err != nil {
				return err
			}
			i = j
			continue
		}
		if err := tx.s.copyVersion(d, b, w.kind, w.page, w.spill, hole); err != nil {
			return err
		}
		i += bs
	}
	return nil
}

func (tx *Tx) checkWrite(first, n uint64) error {
	if tx.state == nil {
		return ErrReadOnly
	}
	return tx.check(first, n)
}

// Write replaces a block. data is copied and must be exactly BlockSize bytes.
func (tx *Tx) Write(block uint64, data []byte) error {
	if err := tx.checkWrite(block, 1); err != nil {
		return err
	}
	if len(data) != int(tx.s.lay.blockSize) {
		return fmt.Errorf("blockstore: write of %d bytes, a block has %d: %w", len(data), tx.s.lay.blockSize, fault.Usage)
	}
	if w, ok := tx.state.writes[block]; ok && w.page != nil { // nobody else has seen that page
		copy(w.page, data)
		return nil
	}
	tx.state.set(block, write{kind: verPage, page: append([]byte(nil), data...)}, tx.s.spill.release)
	if tx.state.memory > tx.s.opts.Tune.TxMemory {
		tx.err = tx.spillOut()
		return tx.err
	}
	return nil
}

// Trim makes n blocks from first on holes, which read as zeros.
func (tx *Tx) Trim(first, n uint64) error {
	if err := tx.checkWrite(first, n); err != nil {
		return err
	}
	if n > 0 {
		tx.state.trim(first, n, tx.s.spill.release)
	}
	return nil
}

// Resize sets the byte length. What is cut off is gone; what is added reads as zeros.
func (tx *Tx) Resize(size int64) error {
	if err := tx.checkWrite(0, 0); err != nil {
		return err
	}
	if err := tx.s.lay.checkSize(size); err != nil {
		return err
	}
	old := tx.state.size
	if size < old {
		if err := tx.shrink(size); err != nil {
			return err
		}
	}
	if size > old {
		if err := tx.clearCut(old); err != nil {
			return err
		}
	}
	tx.state.size = size
	return nil
}

// clearCut zeroes what a write put behind the length, in the block that size
// ends in: growth must not show it.
func (tx *Tx) clearCut(size int64) error {
	rest := size % tx.s.lay.blockSize
	if rest == 0 {
		return nil
	}
	last := tx.s.lay.blocks(size) - 1
	page, err := tx.Read(last)
	if err != nil || allZero(page[rest:]) == nil {
		return err
	}
	clear(page[rest:])
	return tx.Write(last, page)
}

// shrink trims what lies beyond size and zeroes the rest of the block it ends in.
func (tx *Tx) shrink(size int64) error {
	keep, have := tx.s.lay.blocks(size), tx.Blocks()
	if rest := size % tx.s.lay.blockSize; rest != 0 {
		page, err := tx.Read(keep - 1)
		if err != nil {
			return err
		}
		clear(page[rest:])
		if err := tx.Write(keep-1, page); err != nil {
			return err
		}
	}
	if have > keep { // to the end of the last group, so that its tag block goes too
		end := groupsFor(have) * perGroup
		tx.state.trimRange(keep, end-keep, tx.s.spill.release)
	}
	return nil
}

// markLost gives a block up; conversions do so when its loss was accepted.
func (tx *Tx) markLost(block uint64) error {
	if err := tx.checkWrite(block, 1); err != nil {
		return err
	}
	tx.state.set(block, write{kind: verLost}, tx.s.spill.release)
	return nil
}
