// Package tune holds settings that only Coffer's own tests change: they make
// rare events frequent and background work deterministic. A program that
// embeds Coffer cannot name the type and leaves it zero.
package tune

import "time"

// Store are the settings of an open volume. Zero fields mean the real values.
type Store struct {
	SealBudget  uint64           // seals under one epoch before the next begins
	SealReserve uint64           // seals reserved in the label at a time
	TxMemory    int64            // bytes of images that a transaction keeps in memory
	Inline      bool             // no work in the background: checkpoints run in the writer that needs them
	Appended    func()           // called when a commit is what writers see, before the journal has it
	Settling    func()           // called in a checkpoint when its tree is what readers see, before images leave memory
	Now         func() time.Time // the clock, which is only ever informative
}
