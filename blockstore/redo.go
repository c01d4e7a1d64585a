package blockstore

import (
	"encoding/binary"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Journal records of a volume, FORMAT.md "Redo records". A transaction is any
// number of part records followed by one commit record.
const (
	redoPart   = 1
	redoCommit = 2

	redoFirst  = 1 // flag: the first record of its transaction; whatever was pending is dropped
	redoReseal = 2 // flag: written by a conversion; contents are unchanged

	redoHeader   = 24
	redoOpHeader = 24

	opImage  = 1 // a = block, data = image
	opHole   = 2 // a = first block, b = number of blocks
	opResize = 3 // a = new length in bytes
	opLost   = 4 // a = block

	redoPayload = 1 << 20 // records grow to this, or to what a small segment holds
)

// redoRecord is one decoded record.
type redoRecord struct {
	commit bool
	first  bool
	reseal bool
	parts  uint64 // commit: how many part records went before
	time   int64  // Unix nanoseconds, for people and for a restore to a point
	ops    []redoOp
}

type redoOp struct {
	kind uint8
	a, b uint64
	data []byte // shares the record's memory
}

// redoWriter builds records.
type redoWriter struct {
	buf []byte
	ops uint32
	max int // bytes
}

// redoCost is what a record takes up in the journal at most: with its frame's
// header, up to the end of a unit of the device.
func redoCost(payload int) int64 { return (int64(payload) + 160 + 4095) &^ 4095 }

// newRedoWriter makes a writer for records of at most max bytes, or one longer
// operation, of which about want are still to come.
func newRedoWriter(max int, want int64) *redoWriter {
	return &redoWriter{buf: make([]byte, redoHeader, redoHeader+min(int64(max), want)), max: max}
}

func (w *redoWriter) fits(data int) bool {
	return w.ops == 0 || len(w.buf)+redoOpHeader+data <= w.max
}

func (w *redoWriter) op(kind uint8, a, b uint64, data []byte) {
	le := binary.LittleEndian
	w.buf = append(w.buf, kind, 0, 0, 0)
	w.buf = le.AppendUint32(w.buf, uint32(len(data)))
	w.buf = le.AppendUint64(w.buf, a)
	w.buf = le.AppendUint64(w.buf, b)
	w.buf = append(w.buf, data...)
	w.ops++
}

// finish fills in the header and returns the record.
func (w *redoWriter) finish(kind, flags uint8, parts uint64, time int64) []byte {
	le := binary.LittleEndian
	w.buf[0], w.buf[1] = kind, flags
	le.PutUint32(w.buf[4:], w.ops)
	le.PutUint64(w.buf[8:], parts)
	le.PutUint64(w.buf[16:], uint64(time))
	return w.buf
}

var errRedo = fmt.Errorf("blockstore: malformed journal record: %w", fault.Damaged)

// parseRedo decodes a record; images share its memory.
func parseRedo(b []byte, blockSize int) (r redoRecord, err error) {
	le := binary.LittleEndian
	if len(b) < redoHeader || b[0] != redoPart && b[0] != redoCommit || b[1]&^(redoFirst|redoReseal) != 0 || b[2]|b[3] != 0 {
		return r, errRedo
	}
	r = redoRecord{commit: b[0] == redoCommit, first: b[1]&redoFirst != 0, reseal: b[1]&redoReseal != 0,
		parts: le.Uint64(b[8:]), time: int64(le.Uint64(b[16:]))}
	n := le.Uint32(b[4:])
	if !r.commit && r.parts != 0 || uint64(n)*redoOpHeader > uint64(len(b)) {
		return r, errRedo
	}
	r.ops = make([]redoOp, 0, n)
	rest := b[redoHeader:]
	for range n {
		if len(rest) < redoOpHeader {
			return r, errRedo
		}
		op := redoOp{kind: rest[0], a: le.Uint64(rest[8:]), b: le.Uint64(rest[16:])}
		size := uint64(le.Uint32(rest[4:]))
		pad := rest[1] | rest[2] | rest[3]
		rest = rest[redoOpHeader:]
		if pad != 0 || size > uint64(len(rest)) {
			return r, errRedo
		}
		op.data, rest = rest[:size:size], rest[size:]
		if err := op.check(blockSize); err != nil {
			return r, err
		}
		r.ops = append(r.ops, op)
	}
	if len(rest) != 0 {
		return r, errRedo
	}
	return r, nil
}

func (op *redoOp) check(blockSize int) error {
	ok := false
	switch op.kind {
	case opImage:
		ok = len(op.data) == blockSize && op.a < maxBlocks && op.b == 0
	case opHole:
		ok = len(op.data) == 0 && op.a < maxBlocks && op.b > 0 && op.b <= maxBlocks-op.a
	case opResize:
		ok = len(op.data) == 0 && op.b == 0 && layout{int64(blockSize)}.checkSize(int64(op.a)) == nil
	case opLost:
		ok = len(op.data) == 0 && op.a < maxBlocks && op.b == 0
	}
	if !ok {
		return errRedo
	}
	return nil
}
