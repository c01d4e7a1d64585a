package blockstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/internal/fault"
)

// SalvageRange is a run of blocks that are lost, or unproven, for one reason.
type SalvageRange struct {
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
// LostBlocks and UnprovenBlocks add up to Blocks.
type SalvageReport struct {
	Volume    UUID   `json:"volume"`
	New       UUID   `json:"new"`
	BlockSize int    `json:"block_size"`
	Size      int64  `json:"size"` // bytes
	Blocks    uint64 `json:"blocks"`
	Copied    uint64 `json:"copied"` // images that are proven
	Holes     uint64 `json:"holes"`  // never written or trimmed, which is proven
	// Lost, in order: nothing of the blocks authenticates. They read as zeros.
	Lost       []SalvageRange `json:"lost"`
	LostBlocks uint64         `json:"lost_blocks"`
	// Unproven, in order: the blocks authenticate, but nothing proves that they
	// are the newest. They are there with AcceptStale, and read as zeros otherwise.
	Unproven       []SalvageRange `json:"unproven"`
	UnprovenBlocks uint64         `json:"unproven_blocks"`
	AcceptStale    bool           `json:"accept_stale"`
	Truncated      bool           `json:"truncated,omitempty"` // the lists are longer than 10,000 entries; the counts are right
	Label          []string       `json:"label"`               // what is wrong with its copies
	Journal        SalvageJournal `json:"journal"`
}

// Err returns nil where every block of the new volume is proven to be that of
// the newest state that the volume and its journal name, else an error with
// [ErrDamaged]: something was lost, or cannot be proven, or commits were left out.
func (r *SalvageReport) Err() error {
	switch {
	case r.LostBlocks+r.UnprovenBlocks > 0:
		return fmt.Errorf("blockstore: salvage: %d blocks of %d are lost and %d unproven: %w", r.LostBlocks, r.Blocks, r.UnprovenBlocks, fault.Damaged)
	case r.Journal.err != nil:
		return fmt.Errorf("blockstore: salvage: every block is there as of sequence %d, what the journal held behind that is left out (%w): %w",
			r.Journal.Through, r.Journal.err, fault.Damaged)
	}
	return nil
}

// taken is how many unproven blocks are in the new volume.
func (r *SalvageReport) taken() uint64 {
	if r.AcceptStale {
		return r.UnprovenBlocks
	}
	return 0
}

// begin fills in what is known, and forgets what an earlier pass counted.
func (r *SalvageReport) begin(v *salvage, size int64) {
	*r = SalvageReport{Volume: v.label.volume, BlockSize: v.label.blockSize, Size: size, Blocks: v.s.lay.blocks(size),
		AcceptStale: v.stale, Lost: []SalvageRange{}, Unproven: []SalvageRange{}, Label: append([]string{}, r.Label...), Journal: r.Journal}
}

func (r *SalvageReport) lost(block uint64, why error) {
	r.LostBlocks++
	r.Lost = r.add(r.Lost, SalvageRange{block, 1, reason(why)})
}

func (r *SalvageReport) unproven(block uint64, why error) {
	r.UnprovenBlocks++
	r.Unproven = r.add(r.Unproven, SalvageRange{block, 1, reason(why)})
}

// add lists one more block; within a batch they may come out of order.
func (r *SalvageReport) add(list []SalvageRange, n SalvageRange) []SalvageRange {
	at, _ := slices.BinarySearchFunc(list, n, func(a, b SalvageRange) int { return cmp.Compare(a.First, b.First) })
	if at > 0 {
		if p := &list[at-1]; p.Why == n.Why && p.First+p.Blocks == n.First {
			p.Blocks++
			return list
		}
	}
	if len(list) >= maxProblems {
		r.Truncated = true
		return list
	}
	return slices.Insert(list, at, n)
}

func sortedDoubts(d []doubt) []doubt {
	slices.SortFunc(d, func(a, b doubt) int { return cmp.Compare(a.block, b.block) })
	return d
}
