package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/cofferdb/coffer/internal/fault"
)

// program is one run: where it reads from, where it writes to. Verbs are its methods.
type program struct {
	stdin  io.Reader
	stdout io.Writer // results
	stderr io.Writer // everything else
	getenv func(string) string
	fips   bool // --fips
	began  bool // a verb's own code ran: what fails from then on is no mistake in the command line
	data   bool // standard input is data: questions go to the terminal itself
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	if !p.began {
		err = fault.Hint(usagef("%w", err), usageHint(cmd))
	}
	code := exitCode(ctx, err)
	p.explain(ctx, err, code)
	return code
}

// usageHint shows how a command is written.
func usageHint(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "See coffer --help."
	}
	return fmt.Sprintf("Usage: %s. See %s --help.", cmd.UseLine(), cmd.CommandPath())
}

// explain prints one line that says what went wrong and, where there is one, a
// second that says what to do.
func (p *program) explain(ctx context.Context, err error, code int) {
	message := oneLine(err.Error())
	if code == exitInterrupted || code == exitTerminated {
		message = "stopped"
		if s, ok := interrupted(ctx); ok {
			message = s.Error()
		}
	}
	fmt.Fprintln(p.stderr, "coffer: "+strings.TrimPrefix(message, "coffer: "))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(p.stderr, "hint: "+hint)
	}
}

// hintOf says what to do about an error.
func hintOf(err error) string {
	if errors.Is(err, syscall.EFBIG) { // no space that anybody frees helps
		return "A file would become larger than this file system, or the limit of this process (ulimit -f), allows."
	}
	hint := fault.HintOf(err)
	if hint == "" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return "The disk, or a quota on it, is full: free space and run the same command again. What was there is whole; what a conversion, an export or a salvage has done so far is kept."
	}
	return hint
}

// note tells people something that is no result.
func (p *program) note(format string, args ...any) {
	fmt.Fprintf(p.stderr, "note: "+format+"\n", args...)
}

// warn tells people of a danger.
func (p *program) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "warning: "+format+"\n", args...)
}

// action is the body of a verb.
type action func(ctx context.Context, args []string) error

// verb makes a command that does do.
func (p *program) verb(use, short string, args cobra.PositionalArgs, do action) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			p.began = true
			return do(cmd.Context(), args)
		},
	}
}

// group makes a command that only has verbs.
func (p *program) group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, RunE: needsCommand,
	}
	c.AddCommand(verbs...)
	return c
}

// needsCommand is what a group does without one of its commands.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return fmt.Errorf("%s needs a command: %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))
}

func names(cmd *cobra.Command) []string {
	var ns []string
	for _, c := range cmd.Commands() {
		ns = append(ns, c.Name())
	}
	return ns
}

// tty returns the terminal to ask on. Where standard input is data, that is the
// one that the process belongs to. The caller calls done.
func (p *program) tty() (f *os.File, done func(), ok bool) {
	none := func() {}
	if !p.data {
		f, ok = terminal(p.stdin)
		return f, none, ok
	}
	f, err := os.Open("/dev/tty")
	if err != nil {
		return nil, none, false
	}
	return f, func() { _ = f.Close() }, true // it was only read from
}

// terminal returns the terminal that r or w is, if it is one.
func terminal(rw any) (*os.File, bool) {
	f, ok := rw.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}
