package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// errInterrupted is the cause of a context that a signal ended.
type errInterrupted struct{ signal os.Signal }

func (e errInterrupted) Error() string { return "stopped by " + e.signal.String() }

// patience is how long the work may take to stop cleanly. What it leaves behind
// is whole at every instant, so that ending it then loses only what it did last.
const patience = 30 * time.Second

// interruptible returns a context that the first SIGINT or SIGTERM ends, so that
// the work stops cleanly. The second one, or too long a wait, ends the process.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(errInterrupted{s})
			time.AfterFunc(patience, func() {
				fmt.Fprintf(os.Stderr, "coffer: stopped by %v; it did not end within %v\n", s, patience)
				os.Exit(codeOfSignal(s))
			})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(ch); cancel(nil) }
}

// codeOfSignal is the exit code of work that a signal ended.
func codeOfSignal(s os.Signal) int {
	if s == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}

// interrupted returns which signal ended ctx, if one did.
func interrupted(ctx context.Context) (errInterrupted, bool) {
	var e errInterrupted
	ok := errors.As(context.Cause(ctx), &e)
	return e, ok
}
