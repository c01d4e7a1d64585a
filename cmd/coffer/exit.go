package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cofferdb/coffer/internal/fault"
)

// Exit codes. They are part of the program's interface.
const (
	exitDone        = 0
	exitOther       = 1   // I/O error, disk full, no permission, server out of reach
	exitUsage       = 2   // usage; not a volume or key file; out of range; a question without a terminal
	exitKey         = 3   // wrong password, unknown administrator, key not in the source or not activated
	exitDamaged     = 4   // damaged, altered, cut short, rolled back, wrong anchor
	exitState       = 5   // in use, target exists, already encrypted, a key or administrator still needed
	exitUnsupported = 6   // not supported here, or refused in FIPS mode
	exitInterrupted = 130 // stopped by SIGINT
	exitTerminated  = 143 // stopped by SIGTERM
)

// exitCodes is the one table from what an error says to an exit code. The first
// marker found in the error's chain decides.
var exitCodes = []struct {
	marker error
	code   int
}{
	{fault.NotActivated, exitKey},
	{fault.WrongKey, exitKey},
	{fault.OutcomeUnknown, exitOther},
	{fault.Tampered, exitDamaged},
	{fault.Damaged, exitDamaged},
	{fault.TooOld, exitDamaged},
	{fault.InUse, exitState},
	{fault.State, exitState},
	{fs.ErrExist, exitState},
	{fault.Unsupported, exitUnsupported},
	{fault.Version, exitUnsupported},
	{fault.NotFormat, exitUsage},
	{fault.Usage, exitUsage},
	{fs.ErrNotExist, exitOther},
	{syscall.ENOSPC, exitOther},
}

// exitCode says which code a verb that returned err exits with.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	var stopped errInterrupted // some work returns the context's cause
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.As(err, &stopped)) {
		s, _ := interrupted(ctx)
		return codeOfSignal(s.signal)
	}
	for _, e := range exitCodes {
		if errors.Is(err, e.marker) {
			return e.code
		}
	}
	return exitOther
}

// usagef makes an error that exits with 2.
func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fault.Usage, fmt.Errorf(format, args...))
}

// statef makes an error that exits with 5.
func statef(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fault.State, fmt.Errorf(format, args...))
}
