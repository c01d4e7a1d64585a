package blockstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// ExportOptions of [Store.Export].
type ExportOptions struct {
	// Progress, where set, is told now and then how many of how many blocks were
	// copied (stage "copy") and read back (stage "check").
	Progress func(stage string, done, total uint64)
}

// ExportResult says what was exported.
type ExportResult struct {
	Source    UUID   `json:"source"`
	Volume    UUID   `json:"volume"` // of the new volume
	BlockSize int    `json:"block_size"`
	Size      int64  `json:"size"` // bytes
	Blocks    uint64 `json:"blocks"`
	Anchor    Anchor `json:"anchor"`  // of the state that was exported
	Resumed   bool   `json:"resumed"` // went on with what an interrupted run had left
}

// Export copies every block into a new volume under suite none at dest: the way
// out while a key is only in the memory of this process (its key file or key
// server is lost). The new volume has a UUID of its own, the same block size,
// length and places; holes stay holes. The source is read as of one snapshot,
// and not written; other calls go on, but Close waits. While it runs, the engine
// keeps what that snapshot needs, in its spill file if need be. A store that
// refuses writes after a failure can be exported too, as of its durable state.
//
// The new volume is built as dest.coffer-new, for its owner only, read back as
// a whole and compared, and then gets its name. A run that ctx, an error of the
// disk or a crash ends leaves what it built, in plain text; the next one with the
// same dest goes on: it compares everything and writes what differs, since the
// source may have changed. A block that cannot be read ends the work, and what
// was built is removed: [Salvage] takes the rest.
//
// The new volume opens with Options.AllowPlain. It is not encrypted, and what
// was on the disk stays there in freed blocks after it is deleted.
//
// Errors: [ErrState] where dest, or something at the names that the work needs,
// exists; [ErrInUse] where another run builds dest; a [BlockError] for a block;
// those of reading and writing.
func (s *Store) Export(ctx context.Context, dest string, o ExportOptions) (*ExportResult, error) {
	if s.insideTx() {
		return nil, ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	dest = fsx.Resolve(s.opts.FS, dest)
	m, err := beginMaking(s.opts.FS, dest, jobExport, s.volume)
	if err != nil {
		return nil, err
	}
	defer m.release()
	snap := s.acquire()
	defer s.release(snap)
	s.mu.RLock()
	size := s.over.sizeAt(snap.seq)
	s.mu.RUnlock()
	c := &copyout{making: m, from: storeSource{s, snap.seq}, blocks: s.lay.blocks(size), progress: o.Progress,
		want: s.copyOptions(None, size)}
	if err := s.export(ctx, c); err != nil {
		return nil, err
	}
	return &ExportResult{Source: s.volume, Volume: c.volume, BlockSize: s.BlockSize(), Size: size, Blocks: c.blocks,
		Anchor: s.anchorAt(snap.pos), Resumed: c.resumed}, nil
}

func (s *Store) export(ctx context.Context, c *copyout) error {
	err := c.build(ctx)
	if err == nil {
		err = c.compare(ctx)
	}
	if err == nil {
		return c.promote()
	}
	var source errSource
	if errors.As(err, &source) {
		return fault.Hint(errors.Join(fmt.Errorf("blockstore: export: %w", source.error), c.abandon()),
			"nothing was put in place; coffer salvage (in Go blockstore.Salvage) takes what can be read into a new volume, and that can be exported")
	}
	if ctx.Err() != nil {
		return err // it can go on
	}
	return fmt.Errorf("blockstore: export: %w", err)
}

// copyOptions are those of a new volume that takes what this one holds.
func (s *Store) copyOptions(suite Suite, size int64) CreateOptions {
	o := Options{FS: s.opts.FS, AllowPlain: suite == None, Workers: s.opts.Workers, Logger: s.opts.Logger, Tune: s.opts.Tune,
		CheckpointBytes: makingRedo, SegmentBytes: makingSegments, CacheBytes: 1 << 20}
	return CreateOptions{Options: o, Size: size, BlockSize: int(s.lay.blockSize), Suite: suite}
}
