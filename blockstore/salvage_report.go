package blockstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
)

// What a [SalvageRange] is about.
const (
	// SalvageLost: nothing of the blocks authenticates. They read as zeros.
	SalvageLost = "lost"
	// SalvageUnproven: the blocks authenticate, but nothing proves that they are
	// the newest. They are taken with AcceptStale, and read as zeros otherwise.
	SalvageUnproven = "unproven"
)

// SalvageRange is a run of blocks that are lost, or unproven, for one reason.
type SalvageRange struct {
	State  string `json:"state"` // SalvageLost or SalvageUnproven
	First  uint64 `json:"first"`
	Blocks uint64 `json:"blocks"`
	Why    string `json:"why"`
}

// SalvageJournal says how far the journal was taken.
type SalvageJournal struct {
	Through uint64 `json:"through"`            // sequence number up to which commits are in the new volume
	LeftOut string `json:"left_out,omitempty"` // why not further; "" where nothing is missing
	// TailBytes were cut off its end, as after a power failure: nothing says that
	// they were ever acknowledged. Only an anchor can tell more.
	TailBytes int64 `json:"tail_bytes"`

	err error
}

// SalvageReport says what a new volume holds of a damaged one. Copied, Holes,
// Lost and Unproven add up to Blocks.
type SalvageReport struct {
	Volume      UUID           `json:"volume"`
	New         UUID           `json:"new"`
	BlockSize   int            `json:"block_size"`
	Size        int64          `json:"size"` // bytes
	Blocks      uint64         `json:"blocks"`
	Copied      uint64         `json:"copied"`   // images that are proven
	Holes       uint64         `json:"holes"`    // never written or trimmed, which is proven
	Lost        uint64         `json:"lost"`     // read as zeros
	Unproven    uint64         `json:"unproven"` // authentic, perhaps not the newest
	AcceptStale bool           `json:"accept_stale"`
	Ranges      []SalvageRange `json:"ranges"` // of what is lost and unproven, in order
	Truncated   bool           `json:"ranges_truncated,omitempty"`
	Label       []string       `json:"label"` // what is wrong with its copies
	Journal     SalvageJournal `json:"journal"`
}

// Err returns nil where every block of the new volume is proven to be that of
// the newest state that the volume and its journal name, else an error with
// [ErrDamaged]: something was lost, or cannot be proven, or commits were left out.
func (r *SalvageReport) Err() error {
	switch {
	case r.Lost+r.Unproven > 0:
		return fmt.Errorf("blockstore: salvage: %d blocks of %d are lost and %d unproven: %w", r.Lost, r.Blocks, r.Unproven, fault.Damaged)
	case r.Journal.err != nil:
		return fmt.Errorf("blockstore: salvage: every block is there as of sequence %d, what the journal held behind that is left out (%w): %w",
			r.Journal.Through, r.Journal.err, fault.Damaged)
	}
	return nil
}

// taken is how many unproven blocks are in the new volume.
func (r *SalvageReport) taken() uint64 {
	if r.AcceptStale {
		return r.Unproven
	}
	return 0
}

// begin fills in what is known, and forgets what an earlier pass counted.
func (r *SalvageReport) begin(v *salvage, size int64) {
	*r = SalvageReport{Volume: v.label.volume, BlockSize: v.label.blockSize, Size: size, Blocks: v.s.lay.blocks(size),
		AcceptStale: v.stale, Ranges: []SalvageRange{}, Label: append([]string{}, r.Label...), Journal: r.Journal}
}

func (r *SalvageReport) lost(block uint64, why error) {
	r.Lost++
	r.add(SalvageRange{SalvageLost, block, 1, reason(why)})
}

func (r *SalvageReport) unproven(block uint64, why error) {
	r.Unproven++
	r.add(SalvageRange{SalvageUnproven, block, 1, reason(why)})
}

// add lists one more block; within a batch they may come out of order.
func (r *SalvageReport) add(n SalvageRange) {
	at, _ := slices.BinarySearchFunc(r.Ranges, n, func(a, b SalvageRange) int { return cmp.Compare(a.First, b.First) })
	same := func(a SalvageRange) bool { return a.State == n.State && a.Why == n.Why }
	if at > 0 {
		if p := &r.Ranges[at-1]; same(*p) && p.First+p.Blocks == n.First {
			p.Blocks++
			return
		}
	}
	if len(r.Ranges) >= maxProblems {
		r.Truncated = true
		return
	}
	r.Ranges = slices.Insert(r.Ranges, at, n)
}

func sortedDoubts(d []doubt) []doubt {
	slices.SortFunc(d, func(a, b doubt) int { return cmp.Compare(a.block, b.block) })
	return d
}
