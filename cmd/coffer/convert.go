package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// again tells people how an interrupted conversion goes on.
const again = "The work done is kept: run the same command again to go on."

// convert starts a conversion of an open volume, shows its progress and waits
// for its end. When ctx ends, it stops cleanly and leaves a volume in which the
// conversion goes on next time.
func (p *program) convert(ctx context.Context, s *volume, stage string, m *meter, start starter) (blockstore.Result, error) {
	defer m.finish()
	c, err := start(context.WithoutCancel(ctx)) // Stop ends it, not the context: that leaves it settled
	if err != nil {
		return blockstore.Result{}, err
	}
	show := func() {
		g := c.Progress()
		m.pace(g.BytesPerSecond, g.Remaining)
		m.set(stage, int64(g.Done), int64(g.Total), "blocks")
	}
	show()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	stopped := ctx.Done()
	for running := true; running; {
		select {
		case <-c.Done():
			running = false
		case <-stopped:
			stopped = nil
			c.Stop()
		case <-tick.C:
			show()
		}
	}
	res, err := c.Wait()
	if ctx.Err() != nil && !res.Complete {
		return res, errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return res, err
	}
	if res.KeptSegments > 0 {
		p.warn("%s kept for roll-forward: the old key is still needed there", count(res.KeptSegments, "journal segment"))
	}
	if res.Lost > 0 {
		p.warn("%s could not be read and recorded as lost", count(res.Lost, "block"))
	}
	return res, s.incomplete(res)
}

// starter starts a conversion.
type starter func(context.Context) (*blockstore.Converter, error)

// start converts as the flags say.
func (v *volume) start(c blockstore.Conversion, w *workFlags) starter {
	c.Workers, c.AcceptLoss, c.Back, c.Purge = w.workers, w.acceptLoss, w.back, w.purge
	c.Pace = blockstore.Pace{BytesPerSecond: int64(w.rate), Share: float64(w.share) / 100}
	return func(ctx context.Context) (*blockstore.Converter, error) { return v.Convert(ctx, c) }
}

// resume goes on with a recorded conversion, as the flags say.
func (v *volume) resume(under *blockstore.ConversionInfo, w *workFlags) starter {
	suite, err := blockstore.ParseSuite(under.ToSuite)
	if err != nil {
		return func(context.Context) (*blockstore.Converter, error) { return nil, err }
	}
	return v.start(blockstore.Conversion{Suite: suite, Key: under.To}, w)
}

// groupBlocks is how many blocks one tag block is for (FORMAT.md, "Records").
const groupBlocks = 168

// incomplete is the error for blocks that a conversion could not convert.
func (v *volume) incomplete(res blockstore.Result) error {
	if res.Complete {
		return nil
	}
	const shown = 20
	var list []string
	var blocks uint64
	hint := "Restore them from a backup and run the command again, or give them up with --accept-loss."
	for _, b := range res.Damaged {
		last := v.lastUnreadable(b, res.Damaged)
		if last > b {
			hint = "Restore the volume from a backup: --accept-loss cannot give up blocks whose tag block is damaged."
		}
		blocks += last - b + 1
		list = append(list, blockRange(b, last))
	}
	if len(list) > shown {
		list = append(list[:shown], "…")
	}
	return fault.Hint(fmt.Errorf("%s cannot be read and left as before: %s: %w",
		count(blocks, "block"), strings.Join(list, ", "), fault.Damaged), hint)
}

// lastUnreadable is the last block that cannot be read because b, which is in
// the list of damage, cannot: of a tag block the first of its blocks is listed.
func (v *volume) lastUnreadable(b uint64, damaged []uint64) uint64 {
	blocks := v.Blocks()
	if b%groupBlocks != 0 || b+1 >= blocks || slices.Contains(damaged, b+1) {
		return b
	}
	block := make([]byte, v.BlockSize())
	if _, err := v.File().ReadAt(block[:1], int64(b+1)*int64(len(block))); err == nil {
		return b
	}
	return min(b+groupBlocks, blocks) - 1
}

// blockRange is one block, or the first and the last of several.
func blockRange(first, last uint64) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// stoppedHint adds what to do to the error of work that a signal ended.
func stoppedHint(err error) error {
	if errors.Is(err, context.Canceled) {
		return fault.Hint(err, again)
	}
	return err
}
