package journal

import (
	"time"

	"github.com/cofferdb/coffer/dek"
)

// Position names a place between two frames: after frame Seq (0 is before the
// first). Segment is the number of the segment to start reading at: the one
// frame Seq lies in, or the one that begins right after it. Chain is the chain
// value of frame Seq, zero for Seq 0. The zero Position is the beginning.
type Position struct {
	Segment uint64
	Seq     uint64
	Chain   [32]byte
}

// Floor is what the caller knows when it recovers, from where it keeps its own durable state.
type Floor struct {
	// Position to apply frames after. Everything up to it was durable.
	Position Position
	// Generation both copies of the caller's label had at least; a journal written for a later one is refused.
	Generation uint64
	// DurableThrough is the highest sequence number known to have been durable; Position.Seq counts too.
	DurableThrough uint64
	// Keys are the IDs a segment from Position on may be under; the zero ID stands for a plain segment. At least one.
	Keys []dek.ID
	// MustReach is the highest segment number known to have been begun; 0 where nothing is known.
	MustReach uint64
	// Sealed: once a segment is under a key no plain one may follow, though Keys allow them.
	Sealed bool
}

// Frame is one accepted record.
type Frame struct {
	Segment, Seq uint64
	Session      [16]byte // of the segment
	Generation   uint64   // when it was written
	Chain        [32]byte // position after it: {Segment, Seq, Chain}
	Payload      []byte   // valid, and the caller's to read, during the call only; wiped afterwards
}

// Tail is what was cut off after the accepted end: the traces of frames that were never acknowledged, or of their removal.
type Tail struct {
	Segment uint64
	Offset  int64 // where the accepted bytes end
	Bytes   int64 // bytes after Offset that are not zero; in a recycled slot this counts what the slot held before, too
}

// SegmentState says what a slot is to the journal.
type SegmentState uint8

// States of a slot. The zero state is invalid.
const (
	_             SegmentState = iota
	StateLive                  // recovery needs it, as far as is known
	StateKept                  // below the redo position, retained for roll-forward
	StateFree                  // needed by nobody: to be recycled or removed
	StateUnproven              // read by [List], which has no position and cannot tell live, kept and free apart
	StateDamaged               // the header cannot be read; see Err
)

// String returns the state in one word.
func (s SegmentState) String() string {
	switch s {
	case StateLive:
		return "live"
	case StateKept:
		return "kept"
	case StateFree:
		return "free"
	case StateUnproven:
		return "present"
	case StateDamaged:
		return "damaged"
	}
	return "invalid"
}

// SegmentInfo describes one slot file and the segment in it.
type SegmentInfo struct {
	Slot       string   // base name of the file
	Number     uint64   // of the segment, from 1
	UUID       [16]byte // of the segment
	Volume     [16]byte
	Stream     [16]byte
	Session    [16]byte
	Key        dek.ID // zero: plain
	Bits       int    // length of the key; 0 where plain
	Generation uint64 // of the label when the segment was begun
	First      uint64 // sequence number of its first frame
	Last       uint64 // of its last accepted frame; First-1 where it has none, 0 where not known
	Bytes      int64  // used, header included; 0 where not known
	FileBytes  int64  // size of the slot file
	Created    time.Time
	State      SegmentState
	Copy       bool  // a second image of the segment, made by [Recovered.Settle]
	Err        error // why the header cannot be read; nil otherwise
}
