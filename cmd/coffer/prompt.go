package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// maxPassword bounds what is read from a password file, in bytes.
const maxPassword = 4096

// readPasswordFile returns a file's content without one trailing line end.
func readPasswordFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, missing("password file", path, fmt.Errorf("password file: %w", err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPassword+2))
	if err != nil {
		secmem.Wipe(b)
		return nil, fmt.Errorf("password file: %w", err)
	}
	n := len(b)
	if n > 0 && b[n-1] == '\n' {
		n--
		if n > 0 && b[n-1] == '\r' {
			n--
		}
	}
	if n > maxPassword {
		secmem.Wipe(b)
		return nil, usagef("password file %s: longer than %d bytes", path, maxPassword)
	}
	return b[:n], nil
}

// errNoTerminal refuses a question that nobody is there to answer.
func errNoTerminal(what, hint string) error {
	return fault.Hint(usagef("%s, and there is no terminal to ask on", what), hint)
}

// password is a password to be asked for.
type password struct {
	prompt  string
	missing string // what to say where there is no terminal, and what to do then
	hint    string
}

// askPassword prompts without echo. Without a terminal, or an answer, it fails
// with exit code 2.
func (p *program) askPassword(ctx context.Context, q password) ([]byte, error) {
	tty, done, ok := p.tty()
	if !ok {
		return nil, errNoTerminal(q.missing, q.hint)
	}
	defer done()
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(p.stderr, q.prompt+": ")
	defer fmt.Fprintln(p.stderr)
	b, err := await(ctx, func() ([]byte, error) { return readHidden(tty) })
	if errors.Is(err, errTyped) {
		select { // the signal is on its way
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Second):
		}
	}
	if ctx.Err() != nil {
		_ = term.Restore(int(tty.Fd()), before) // the read goes on without echo; it must not stay that way
	}
	if errors.Is(err, io.EOF) {
		return nil, fault.Hint(usagef("no password was typed"), q.hint)
	}
	return b, err
}

// askNewPassword prompts twice.
func (p *program) askNewPassword(ctx context.Context, q password) ([]byte, error) {
	first, err := p.askPassword(ctx, q)
	if err != nil {
		return nil, err
	}
	q.prompt += ", again"
	again, err := p.askPassword(ctx, q)
	if err != nil {
		secmem.Wipe(first)
		return nil, err
	}
	defer secmem.Wipe(again)
	if !bytes.Equal(first, again) {
		secmem.Wipe(first)
		return nil, usagef("the two passwords differ")
	}
	return first, nil
}

// askLine prompts for a line of text.
func (p *program) askLine(ctx context.Context, prompt, missing, hint string) (string, error) {
	tty, done, ok := p.tty()
	if !ok {
		return "", errNoTerminal(missing, hint)
	}
	defer done()
	fmt.Fprint(p.stderr, prompt)
	line, err := await(ctx, func() (string, error) { return bufio.NewReader(tty).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line == "" {
		return "", fault.Hint(usagef("nothing was typed"), hint)
	}
	return strings.TrimSpace(line), nil
}

// confirm asks before something is destroyed. yes is --yes. A "no" is an error.
func (p *program) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	answer, err := p.askLine(ctx, question+" Type yes to go on: ",
		"this must be confirmed", "Give --yes to confirm.")
	if err != nil {
		return err
	}
	if !strings.EqualFold(answer, "yes") {
		return statef("not confirmed, nothing was changed")
	}
	return nil
}

// await runs a read that cannot be cancelled and stops waiting when ctx ends.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	ch := make(chan answer, 1)
	go func() {
		v, err := read()
		ch <- answer{v, err}
	}()
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
