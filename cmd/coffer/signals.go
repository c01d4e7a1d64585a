package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errInterrupted is the cause of a context that a signal ended.
type errInterrupted struct{ signal os.Signal }

func (e errInterrupted) Error() string { return "stopped by " + e.signal.String() }

// interruptible returns a context that the first SIGINT or SIGTERM ends, so that
// the work stops cleanly. The second one ends the process at once.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(errInterrupted{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(ch); cancel(nil) }
}

// interrupted returns which signal ended ctx, if one did.
func interrupted(ctx context.Context) (errInterrupted, bool) {
	var e errInterrupted
	ok := errors.As(context.Cause(ctx), &e)
	return e, ok
}
