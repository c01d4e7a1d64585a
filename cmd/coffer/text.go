package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// said is an error in words of its own, for people; what it wraps decides the
// exit code.
type said struct {
	text string
	err  error
}

func (s said) Error() string { return s.text }
func (s said) Unwrap() error { return s.err }

// say replaces an error's text.
func say(err error, format string, args ...any) error {
	return said{fmt.Sprintf(format, args...), err}
}

// missing says which file is not there, in a sentence. Other errors stay.
func missing(what, path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return say(err, "there is no %s %s", what, path)
	}
	return err
}

// mustBeFile refuses what is not there and what is no file. It does not open it:
// a pipe would wait for a writer.
func mustBeFile(what, path string) error {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return missing(what, path, err)
	case fi.IsDir():
		return usagef("%s is a folder", path)
	case !fi.Mode().IsRegular():
		return usagef("%s is not a regular file", path)
	}
	return nil
}

// count is a number with its noun: 1 block, 2 blocks.
func count[N ~int | ~int64 | ~uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// packages begin the errors they make with their name, which tells people nothing.
var packages = []string{"blockstore", "control", "dek", "element", "fsx", "guid", "journal", "keyfile", "kmip", "kms", "nbd", "pebblefs", "plainfile", "retable", "seal", "secmem", "sqlitevfs"}

// humane takes out of an error's text what is for programmers: the names of
// packages, and markers that say nothing new where they stand.
func humane(text string) string {
	var kept []string
	for _, part := range strings.Split(text, ": ") {
		later := len(kept) > 0
		switch {
		case slices.Contains(packages, part):
		case later && (part == fault.Usage.Error() || part == fault.State.Error()):
		case slices.Contains(kept, part): // damaged: …: damaged
		default:
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ": ")
}

// oneLine joins lines, such as those of joined errors.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = humane(strings.TrimSpace(line)); line != "" && !slices.Contains(parts, line) {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}
