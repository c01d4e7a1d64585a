package main

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestKillExportAndSalvage: killed again and again, there is nothing under the
// new name, or a whole volume; the source stays as it was to the byte.
func TestKillExportAndSalvage(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 6<<20)
	d.ok("encrypt", "a.db")
	source, err := os.ReadFile(d.path("a.db"))
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(5, 5))
	for _, c := range []struct {
		verb, dest string
		cat        []string
	}{{"export", "plain", []string{"--cipher", "none"}}, {"salvage", "new", nil}} {
		for n := 0; ; n++ {
			p := d.start(c.verb, "a.db", c.dest, "--progress", "json")
			if n < 8 && p.line(isProgress) != "" {
				time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
				_ = p.cmd.Process.Kill()
			}
			code := p.wait()
			requireSameFile(t, d.path("a.db"), source)
			if _, err := os.Stat(d.path(c.dest)); err == nil {
				t.Logf("%s: %d kills", c.verb, n)
				break // also where it was killed behind the renaming
			}
			require.Equal(t, -1, code, "%s", p.stderr)
		}
		got := d.ok(append([]string{"cat", c.dest}, c.cat...)...)
		require.True(t, string(content) == got, "%s has everything", c.dest)
		d.ok(append([]string{"verify", c.dest}, c.cat...)...)
		_, errs, code := d.run(c.verb, "a.db", c.dest)
		require.Equal(t, exitState, code, errs)
	}
	left, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Len(t, left, 5, "a.db, plain, new, keys and pw: %v", left)
}

// TestInterruptExport: SIGINT stops cleanly with 130, and the next run goes on.
func TestInterruptExport(t *testing.T) {
	d := newDesk(t, "256")
	bigFile(d, 24<<20)
	d.ok("encrypt", "a.db")
	p := d.start("export", "a.db", "plain", "--progress", "json")
	require.NotEmpty(t, p.line(isProgress))
	code := p.signal(syscall.SIGINT)
	if code == 0 {
		t.Skip("it was through before the signal came")
	}
	require.Equal(t, exitInterrupted, code, "%s", p.stderr)
	require.Contains(t, p.stderr.String(), "hint: ")
	require.NoFileExists(t, d.path("plain"))
	fi, err := os.Stat(d.path("plain.coffer-new"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	out, errs, code := d.run("export", "a.db", "plain")
	require.Zero(t, code, "%s%s", out, errs)
	require.Contains(t, errs, "went on with")
}
