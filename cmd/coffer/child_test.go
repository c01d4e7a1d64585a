package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// childEnv makes the test binary be the program: see TestMain.
const childEnv = "COFFER_TEST_CHILD"

// desk is a folder with a key file, in which the program is run as a child.
type desk struct {
	t   *testing.T
	dir string
	key string // the first key's ID
}

func newDesk(t *testing.T, bits string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir()}
	require.NoError(t, os.WriteFile(d.path("pw"), []byte("correct Horse 7 battery!\n"), 0o600))
	d.key = strings.TrimSpace(d.ok("keyfile", "create", "keys", "--iterations", "65536", "--bits", bits))
	return d
}

func (d *desk) path(name string) string { return filepath.Join(d.dir, name) }

// command makes a child of the program.
func (d *desk) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir = d.dir
	c.Env = append(os.Environ(), childEnv+"=1", envAdmin+"=alice", envPasswordFile+"=pw")
	if args[0] != "keyfile" {
		c.Env = append(c.Env, envKeyfile+"=keys")
	}
	return c
}

// run runs a child to its end.
func (d *desk) run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	c := d.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	code = codeOf(d.t, c.Run())
	return out.String(), errs.String(), code
}

// ok runs a child that must succeed.
func (d *desk) ok(args ...string) string {
	d.t.Helper()
	out, errs, code := d.run(args...)
	require.Zero(d.t, code, "coffer %v\n%s%s", args, out, errs)
	return out
}

// codeOf is the exit code of a child, -1 if a signal ended it.
func codeOf(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, err)
	return 0
}

// child is a running child whose output is watched.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr *bytes.Buffer
	lines  chan string // of standard output and of progress, as they come
}

// start starts a child. Lines on its standard output, and lines of progress on
// its standard error, are sent to lines.
func (d *desk) start(args ...string) *child {
	d.t.Helper()
	c := &child{t: d.t, cmd: d.command(args...), stderr: new(bytes.Buffer), lines: make(chan string, 1000)}
	out, err := c.cmd.StdoutPipe()
	require.NoError(d.t, err)
	errs, err := c.cmd.StderrPipe()
	require.NoError(d.t, err)
	require.NoError(d.t, c.cmd.Start())
	go func() {
		done := make(chan struct{})
		go func() { c.scan(io.TeeReader(errs, c.stderr)); close(done) }()
		c.scan(out)
		<-done
		close(c.lines)
	}()
	return c
}

func (c *child) scan(r io.Reader) {
	s := bufio.NewScanner(r)
	for s.Scan() {
		c.lines <- s.Text()
	}
}

// line waits for the first line that satisfies want; "" if the child ends before.
func (c *child) line(want func(string) bool) string {
	c.t.Helper()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case l, open := <-c.lines:
			if !open {
				return ""
			}
			if want(l) {
				return l
			}
		case <-limit:
			c.t.Fatal("the child says nothing")
		}
	}
}

// signal sends a signal and waits for the end. It returns the exit code, -1 if
// a signal ended the child.
func (c *child) signal(s syscall.Signal) int {
	c.t.Helper()
	_ = c.cmd.Process.Signal(s) // it may have ended
	return c.wait()
}

func (c *child) wait() int {
	c.t.Helper()
	for range c.lines { // to the end of both outputs
	}
	return codeOf(c.t, c.cmd.Wait())
}

func isID(line string) bool { return len(line) == 36 && strings.Count(line, "-") == 4 }

func isProgress(line string) bool { return strings.HasPrefix(line, `{"stage"`) }

func lines(text string) func(func(string) bool) { return strings.SplitSeq(text, "\n") }
