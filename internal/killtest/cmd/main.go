// Command cmd kills processes that work on a volume, and ends with a line
//
//	kills=N failures=N seed=N
//
// and exit status 1 if a commit was lost, or there in part.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cofferdb/coffer/internal/killtest"
)

func main() {
	duration := flag.Duration("duration", time.Minute, "how long to run")
	seed := flag.Uint64("seed", 0, "seed of what is written; 0 takes the time")
	child := flag.String("child", "", "volume to work on until killed")
	flag.Parse()
	if *child != "" {
		killtest.Main(*child, *seed)
		return
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	if err := run(*seed, *duration); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seed uint64, duration time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "coffer-kill-")
	if err != nil {
		return err
	}
	t := killtest.Judge{Path: filepath.Join(dir, "v"), Seed: seed, Duration: duration, Log: os.Stderr,
		Command: func(ctx context.Context, path string, seed uint64) *exec.Cmd {
			return exec.CommandContext(ctx, self, "-child", path, "-seed", strconv.FormatUint(seed, 10))
		}}.Run(context.Background())
	fmt.Printf("opens=%d commits=%d\nkills=%d failures=%d seed=%d\n", t.Opens, t.Commits, t.Kills, t.Failures, seed)
	if t.Failures > 0 {
		return fmt.Errorf("the volume is left in %s", dir)
	}
	return os.RemoveAll(dir)
}
