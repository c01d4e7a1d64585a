package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/cofferdb/coffer/internal/secmem"
)

// Keys that a terminal without line editing passes on.
const (
	keyInterrupt = 0x03
	keyEnd       = 0x04
	keyBackspace = 0x08
	keyKillLine  = 0x15
	keyDelete    = 0x7f
)

// readHidden reads a line from a terminal without echo. The end of input
// (Ctrl-D) on an empty line is io.EOF, which term.ReadPassword does not tell
// from more to come; so the line is edited here.
func readHidden(tty *os.File) (line []byte, err error) {
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	defer func() {
		if restored := term.Restore(int(tty.Fd()), before); restored != nil {
			err = errors.Join(err, fmt.Errorf("terminal: %w", restored))
		}
		if err != nil {
			secmem.Wipe(line[:cap(line)])
			line = nil
		}
	}()
	line = make([]byte, 0, maxPassword) // never moved: no copy stays behind
	key := make([]byte, 1)
	for {
		if _, err := io.ReadFull(tty, key); err != nil {
			return line, err
		}
		switch key[0] {
		case '\r', '\n':
			return line, nil
		case keyEnd, 0: // a terminal that was given it before the echo went passes on a zero
			if len(line) == 0 {
				return line, io.EOF
			}
		case keyInterrupt:
			return line, interruptSelf()
		case keyBackspace, keyDelete:
			line = line[:max(len(line)-1, 0)]
		case keyKillLine:
			line = line[:0]
		default:
			if len(line) == maxPassword {
				return line, usagef("a password has at most %d bytes", maxPassword)
			}
			line = append(line, key[0])
		}
	}
}

// errTyped: the interrupt key was typed.
var errTyped = errors.New("stopped by the interrupt key")

// interruptSelf does what the interrupt key does in a terminal with line editing.
func interruptSelf() error {
	if me, err := os.FindProcess(os.Getpid()); err == nil {
		_ = me.Signal(os.Interrupt) // where it cannot, the error alone ends the verb
	}
	return errTyped
}
