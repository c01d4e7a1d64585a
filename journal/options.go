package journal

import (
	"fmt"
	"log/slog"
	"math/bits"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/guid"
)

// Defaults and bounds of [Options].
const (
	DefaultSegmentBytes    = 16 << 20
	MinSegmentBytes        = 64 << 10
	MaxSegmentBytes        = 1 << 30
	DefaultUnit            = 4096
	MinUnit                = 4096
	MaxUnit                = 64 << 10
	DefaultMaxFramePayload = 1<<20 + 64<<10
)

// Options of a journal. Dir, Volume and Stream are required.
type Options struct {
	// FS is the file system; nil means [fsx.OS].
	FS fsx.FS
	// Dir is the folder of the slot files, made where it is missing.
	Dir string
	// Keys is where keys are leased from. Nil is enough while every segment is plain.
	Keys *dek.Keyring
	// Volume and Stream are bound into every header and frame. A stream is one history: a restored copy begins another.
	Volume, Stream [16]byte
	// SegmentBytes is the size of a new segment: [MinSegmentBytes] to [MaxSegmentBytes], rounded down to units; 0 means [DefaultSegmentBytes].
	SegmentBytes int64
	// Unit is what the device may tear, and where synced batches end: a power of two, [MinUnit] to [MaxUnit]; 0 means [DefaultUnit].
	Unit int
	// MaxFramePayload bounds one record in bytes; 0 means [DefaultMaxFramePayload]. A smaller bound follows from SegmentBytes: see [Journal.MaxPayload].
	MaxFramePayload int
	// Retain is the number of segments kept below the position given to [Journal.Release]; 0 none, -1 all.
	Retain int
	// Spare is how many free slots are kept to be recycled, so that commits need no new files; 0 means [DefaultSpare].
	Spare int
	// Logger gets what is worth an operator's eye; nil means nothing is logged.
	Logger *slog.Logger
	// Holder names this journal in the refusal to deactivate a key it needs; empty means "journal of volume GUID".
	Holder string
	// Inline turns work ahead in the background off: a segment is made when a switch needs it. For tests that count operations.
	Inline bool
	// Now is the clock that says when a segment was begun, for people; nil means time.Now. For tests.
	Now func() time.Time
}

func (o Options) check() (Options, error) {
	usage := func(what string) (Options, error) {
		return Options{}, fmt.Errorf("journal: option %s: %w", what, fault.Usage)
	}
	if o.Dir == "" {
		return usage("Dir is empty")
	}
	if o.Unit == 0 {
		o.Unit = DefaultUnit
	}
	if o.Unit < MinUnit || o.Unit > MaxUnit || bits.OnesCount(uint(o.Unit)) != 1 {
		return usage("Unit is out of bounds")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	o.SegmentBytes -= o.SegmentBytes % int64(o.Unit)
	if o.SegmentBytes < max(MinSegmentBytes, 4*int64(o.Unit)) || o.SegmentBytes > MaxSegmentBytes {
		return usage("SegmentBytes is out of bounds")
	}
	if o.MaxFramePayload == 0 {
		o.MaxFramePayload = DefaultMaxFramePayload
	}
	if o.MaxFramePayload < 0 {
		return usage("MaxFramePayload is negative")
	}
	// A header, the longest frame and a closing frame always fit one segment.
	o.MaxFramePayload = int(min(int64(o.MaxFramePayload), o.SegmentBytes-2*int64(o.Unit)-frameHeaderSize))
	if o.Retain < -1 {
		return usage("Retain is below -1")
	}
	if o.Spare == 0 {
		o.Spare = DefaultSpare
	}
	if o.Spare < 0 {
		return usage("Spare is negative")
	}
	if o.FS == nil {
		o.FS = fsx.OS()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Holder == "" {
		o.Holder = "journal of volume " + guid.Format(o.Volume)
	}
	return o, nil
}
