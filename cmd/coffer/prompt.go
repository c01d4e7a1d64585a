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
		return nil, fmt.Errorf("password file: %w", err)
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

// askPassword prompts without echo. Without a terminal it fails with exit code 2.
func (p *program) askPassword(ctx context.Context, prompt string) ([]byte, error) {
	tty, ok := terminal(p.stdin)
	if !ok {
		return nil, errNoTerminal("no password was given", "Give --password-file FILE, or set COFFER_PASSWORD_FILE.")
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(p.stderr, prompt)
	defer fmt.Fprintln(p.stderr)
	b, err := await(ctx, func() ([]byte, error) { return term.ReadPassword(int(tty.Fd())) })
	if ctx.Err() != nil {
		_ = term.Restore(int(tty.Fd()), before) // the read goes on without echo; it must not stay that way
	}
	return b, err
}

// askNewPassword prompts twice.
func (p *program) askNewPassword(ctx context.Context, prompt string) ([]byte, error) {
	first, err := p.askPassword(ctx, prompt+": ")
	if err != nil {
		return nil, err
	}
	again, err := p.askPassword(ctx, prompt+", again: ")
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
	tty, ok := terminal(p.stdin)
	if !ok {
		return "", errNoTerminal(missing, hint)
	}
	fmt.Fprint(p.stderr, prompt)
	line, err := await(ctx, func() (string, error) { return bufio.NewReader(tty).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
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
