package blockstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/internal/fault"
)

// backupGate keeps apart a backup and the end of a conversion, which takes key
// slots and epochs out of the label that what a backup copied earlier may name.
type backupGate struct {
	mu       sync.Mutex         // guards the fields below
	cancel   context.CancelFunc // of the backup that runs, nil if none
	closed   bool               // the store is closing: none begins
	dropping bool               // keys or epochs are being dropped
	wanted   bool               // somebody waits to do so: no other backup begins
	wake     chan struct{}      // closed when one of them has changed
}

// change tells those who wait; mu is held.
func (g *backupGate) change() {
	if g.wake != nil {
		close(g.wake)
	}
	g.wake = make(chan struct{})
}

// sleep waits for a change; mu is held before and after.
func (g *backupGate) sleep(ctx context.Context) error {
	if g.wake == nil {
		g.wake = make(chan struct{})
	}
	wake := g.wake
	g.mu.Unlock()
	defer g.mu.Lock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin admits a backup, one at a time, once no keys are being dropped. The
// context it returns ends when the store is closed, too.
func (g *backupGate) begin(ctx context.Context) (context.Context, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.cancel == nil && !g.closed && (g.dropping || g.wanted) {
		if err := g.sleep(ctx); err != nil {
			return nil, fmt.Errorf("blockstore: backup, waiting for the end of a conversion: %w", err)
		}
	}
	if g.closed {
		return nil, ErrClosed
	}
	if g.cancel != nil {
		return nil, fmt.Errorf("blockstore: a backup of the volume is running: %w", fault.State)
	}
	ctx, g.cancel = context.WithCancel(ctx)
	return ctx, nil
}

// end lets others go on after a backup.
func (g *backupGate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancel()
	g.cancel = nil
	g.change()
}

// stop asks a running backup to end, and lets none begin.
func (g *backupGate) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.change()
	if g.cancel != nil {
		g.cancel()
	}
}

// drop runs fn while no backup runs, and none begins; waiting is told that it has to wait for one.
func (g *backupGate) drop(ctx context.Context, waiting func(), fn func() error) error {
	g.mu.Lock()
	g.wanted = true
	for g.cancel != nil {
		waiting()
		if err := g.sleep(ctx); err != nil {
			g.wanted = false
			g.change()
			g.mu.Unlock()
			return err
		}
	}
	g.wanted, g.dropping = false, true
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.dropping = false
		g.change()
	}()
	return fn()
}
