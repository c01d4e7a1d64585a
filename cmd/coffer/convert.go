package main

import (
	"context"
	"errors"
	"fmt"
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
func (p *program) convert(ctx context.Context, stage string, m *meter,
	start func(context.Context) (*blockstore.Converter, error)) (blockstore.Result, error) {
	defer m.finish()
	c, err := start(context.WithoutCancel(ctx)) // Stop ends it, not the context: that leaves it settled
	if err != nil {
		return blockstore.Result{}, err
	}
	show := func() {
		g := c.Progress()
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
		p.warn("%d journal segments that are kept for roll-forward still need the old key", res.KeptSegments)
	}
	if res.Lost > 0 {
		p.warn("%d blocks could not be read and are recorded as lost", res.Lost)
	}
	return res, damagedBlocks(res)
}

// damagedBlocks is the error for blocks that a conversion could not convert.
func damagedBlocks(res blockstore.Result) error {
	if uint64(len(res.Damaged)) <= res.Lost {
		return nil
	}
	const shown = 20
	var list []string
	for _, b := range res.Damaged[:min(shown, len(res.Damaged))] {
		list = append(list, fmt.Sprint(b))
	}
	if len(res.Damaged) > shown {
		list = append(list, "…")
	}
	return fault.Hint(fmt.Errorf("%d blocks cannot be read and were left as they are: %s: %w",
		len(res.Damaged), strings.Join(list, ", "), fault.Damaged),
		"Restore them from a backup and run the command again, or give them up with --accept-loss.")
}

// stoppedHint adds what to do to the error of work that a signal ended.
func stoppedHint(err error) error {
	if errors.Is(err, context.Canceled) {
		return fault.Hint(err, again)
	}
	return err
}
