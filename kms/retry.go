package kms

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// Waiting between attempts: 200 ms doubled each time, at most 8 s, of which half
// is chance, so that many who were refused at once do not come back at once.
const (
	firstWait = 200 * time.Millisecond
	longest   = 8 * time.Second
)

// attempt calls do until it succeeds, fails for good, or attempts or time run
// out. Each call has a context of its own with the time-out of one attempt. The
// last error comes back, and the caller's own cancellation as what it is.
func attempt[T any](ctx context.Context, o *Options, what Step, do func(context.Context) (T, error)) (T, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	if err := parent.Err(); err != nil {
		var none T
		return none, err
	}
	for n := 1; ; n++ {
		got, err := once(ctx, o, do)
		switch {
		case err == nil:
			return got, nil
		case parent.Err() != nil:
			return got, parent.Err()
		case n >= triesOf(err, o.Attempts):
			return got, err
		}
		pause := pauseAfter(err, n)
		if until, ok := ctx.Deadline(); ok && time.Until(until) < pause {
			return got, err // waiting would be for nothing
		}
		o.Logger.Warn("key service failed, trying again", "step", string(what), "attempt", n, "wait", pause.Round(time.Millisecond),
			"error", err.Error())
		if o.sleep(ctx, pause) != nil {
			if parent.Err() != nil {
				return got, parent.Err()
			}
			return got, err
		}
	}
}

func once[T any](ctx context.Context, o *Options, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	return do(ctx)
}

// triesOf is how often something is tried that failed so.
func triesOf(err error, most int) int {
	var e *Error
	switch {
	case errors.As(err, &e) && e.final:
		return 1
	case Away(err):
		return most
	case errors.Is(err, ErrClock):
		return min(most, 2) // the library has learned the service's time from the answer
	}
	return 1
}

func pauseAfter(err error, n int) time.Duration {
	d := min(firstWait<<min(n-1, 10), longest)
	d = d/2 + rand.N(d/2+1)
	var e *Error
	if errors.As(err, &e) {
		d = max(d, e.After)
	}
	return d
}
