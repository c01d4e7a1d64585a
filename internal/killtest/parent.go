package killtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Judge kills children for a time.
type Judge struct {
	// Command starts a child on the volume at path: one that calls Main.
	Command func(ctx context.Context, path string, seed uint64) *exec.Cmd
	Path    string // of the volume
	Seed    uint64
	// Duration ends the campaign; Kills, if not 0, too.
	Duration time.Duration
	Kills    int
	Log      io.Writer
}

// Totals of a campaign.
type Totals struct {
	Kills, Opens, Failures int
	Commits                uint64 // durable ones
}

// bounds are what the next child must find: no commit before durable, none after begun.
type bounds struct{ durable, begun uint64 }

// Run kills children until the time is over or one of them finds something wrong.
func (j Judge) Run(ctx context.Context) Totals {
	var t Totals
	var b bounds
	rng := rand.New(rand.NewPCG(j.Seed, 7))
	end := time.Now().Add(j.Duration)
	for time.Now().Before(end) && (j.Kills == 0 || t.Kills < j.Kills) && ctx.Err() == nil {
		// Some die while they open: the next one then recovers from that.
		patience := time.Duration(rng.IntN(300)) * time.Millisecond
		found, err := j.one(ctx, patience, rng.IntN(4) == 0, &b)
		t.Kills++
		if found {
			t.Opens++
		}
		if err != nil {
			t.Failures++
			_, _ = fmt.Fprintf(j.Log, "kill %d: %v\n", t.Kills, err)
			break // what follows would only say it again
		}
	}
	t.Commits = b.durable
	return t
}

// one runs a child and kills it: while it opens, or a while after it has found its state.
func (j Judge) one(ctx context.Context, patience time.Duration, early bool, b *bounds) (found bool, err error) {
	cmd := j.Command(ctx, j.Path, j.Seed)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	var timer *time.Timer
	kill := func() { _ = cmd.Process.Kill() } // it may be gone
	if early {
		timer = time.AfterFunc(patience/10, kill)
	} else {
		timer = time.AfterFunc(time.Minute, kill) // a child that hangs is a failure, seen below
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		if verb == "failed" {
			err = errors.Join(err, errors.New(rest))
			continue
		}
		n, parseErr := strconv.ParseUint(rest, 10, 64)
		if parseErr != nil {
			continue // a line cut short by the kill
		}
		switch verb {
		case "found":
			found = true
			if n < b.durable || n > b.begun {
				err = fmt.Errorf("commit %d is the last one there; %d was durable, %d begun", n, b.durable, b.begun)
			}
			if !early {
				timer.Reset(patience)
			}
			*b = bounds{n, n}
		case "begin":
			b.begun = n
		case "durable":
			b.durable = n
		}
	}
	timer.Stop()
	_ = cmd.Wait() // killed
	if err == nil && !early && !found {
		err = fmt.Errorf("the child found nothing within a minute: %s", problems.String())
	}
	return found, err
}
