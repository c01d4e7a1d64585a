package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
)

// bigFile writes a file that takes a while to convert, and returns its content.
func bigFile(d *desk, bytes int) []byte {
	d.t.Helper()
	b := make([]byte, bytes)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b) // never fails
	require.NoError(d.t, os.WriteFile(d.path("a.db"), b, 0o600))
	return b
}

// underFire kills a verb again and again, until it is through.
func underFire(d *desk, content []byte, whole func(), args ...string) {
	const kills = 10
	rng := rand.New(rand.NewPCG(3, 9))
	resumed := 0
	for n := 0; ; n++ {
		c := d.start(append(args, "--progress", "json")...)
		if n < kills && c.line(isProgress) != "" {
			time.Sleep(time.Duration(rng.IntN(1+len(content)>>20)) * time.Millisecond)
			c.cmd.Process.Kill()
		}
		code := c.wait()
		if n > 0 && code == 0 {
			require.Contains(d.t, c.stderr.String(), "going on with")
			resumed++
		}
		if code == 0 {
			d.t.Logf("%d kills", n)
			return
		}
		require.Equal(d.t, -1, code, "%s", c.stderr)
		whole()
	}
}

// TestKillEncryptAndDecrypt: the file is whole until it is replaced, and the
// work goes on when it is run again.
func TestKillEncryptAndDecrypt(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 12<<20)
	underFire(d, content, func() {
		if _, err := blockstore.Inspect(d.path("a.db"), nil); err == nil {
			t.Skip("killed between the replacement and the exit: nothing is left to do")
		}
		requireSameFile(t, d.path("a.db"), content)
	}, "encrypt", "a.db")
	d.ok("verify", "a.db")
	underFire(d, content, func() {
		if _, err := blockstore.Inspect(d.path("a.db"), nil); err == nil {
			d.ok("verify", "a.db")
		}
	}, "decrypt", "a.db")
	requireSameFile(t, d.path("a.db"), content)
	left, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Len(t, left, 3, "a.db, keys and pw: %v", left)
}

// TestInterrupt: SIGINT stops cleanly with 130, and the next run goes on.
func TestInterrupt(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 24<<20)
	for _, args := range [][]string{{"encrypt", "a.db"}, {"rekey", "a.db", "--new-key"}, {"decrypt", "a.db"}} {
		c := d.start(append(args, "--progress", "json", "--workers", "1")...)
		require.NotEmpty(t, c.line(isProgress), "%v: %s", args, c.stderr)
		code := c.signal(syscall.SIGINT)
		if code == 0 {
			t.Logf("%v was through before the signal came", args)
			continue
		}
		require.Equal(t, exitInterrupted, code, "%v: %s", args, c.stderr)
		require.Contains(t, c.stderr.String(), "coffer: stopped")
		require.Contains(t, c.stderr.String(), "hint: ")
		if args[0] == "rekey" {
			d.ok("verify", "a.db")
		}
		out, errs, code := d.run(args...)
		require.Zero(t, code, "%s%s", out, errs)
		require.Contains(t, errs, "going on with")
	}
	requireSameFile(t, d.path("a.db"), content)
}

// TestInUse: a volume that another process has open is refused, before any question.
func TestInUse(t *testing.T) {
	d := newDesk(t, "256")
	d.ok("create", "v", "--size", "64K")
	put := d.command("put", "v", "--offset", "0")
	in, err := put.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, put.Start())
	require.Eventually(t, func() bool { // a verb here would itself lock the volume, perhaps just when put wants to
		segments, _ := filepath.Glob(filepath.Join(d.dir, "v.journal", "*"))
		return len(segments) > 0
	}, time.Minute, 20*time.Millisecond)
	_, _, code := d.run("cat", "v", "--length", "0")
	require.Equal(t, exitState, code)
	for _, args := range [][]string{
		{"erase", "v"}, {"resize", "v", "--size", "1M"}, {"rekey", "v", "--new-key"}, {"decrypt", "v"}, {"encrypt", "v"}, {"journal", "switch", "v"},
	} {
		_, errs, code := d.run(args...)
		require.Equal(t, exitState, code, "%v: %s", args, errs)
	}
	require.NoError(t, in.Close())
	require.NoError(t, put.Wait())
	d.ok("cat", "v")
	require.Equal(t, 1, countKeys(d), "a refused re-key made no key")
}

func countKeys(d *desk) int {
	n := 0
	for line := range lines(d.ok("keyfile", "show", "keys")) {
		if len(line) > 36 && isID(line[:36]) {
			n++
		}
	}
	return n
}
