package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
)

// sourceKind is what a run works on.
type sourceKind uint8

const (
	ofValue sourceKind = iota + 1
	ofCSV
	ofJSONL
	ofStream
	ofTable
)

// elementSource says where values come from and where they go.
type elementSource struct {
	in, out   string
	csv       bool
	header    bool
	delimiter string
	column    string // of CSV, or of a table
	jsonl     bool
	path      string
	missing   bool // --skip-missing
	stream    bool
}

func (s *elementSource) register(c *cobra.Command) {
	s.registerIn(c)
	f := c.Flags()
	f.StringVar(&s.out, "out", "", "new `FILE` to write, readable by its owner; else standard output")
	f.BoolVar(&s.stream, "stream", false, "the value is a stream, of any length, in binary form")
	f.BoolVar(&s.missing, "skip-missing", false, "let lines of JSON pass that have nothing at the path")
}

func (s *elementSource) registerIn(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.in, "in", "", "`FILE` to read; else standard input")
	f.BoolVar(&s.csv, "csv", false, "the input is CSV, of which --column is changed")
	f.BoolVar(&s.header, "header", false, "the first record of the CSV has the columns' names")
	f.StringVar(&s.delimiter, "delimiter", ",", "`CHARACTER` between fields of the CSV; tab is a tab")
	f.StringVar(&s.column, "column", "", "`NAME` of the column; without --header, its number from 1")
	f.BoolVar(&s.jsonl, "jsonl", false, "the input is JSON Lines, of which --path is changed")
	f.StringVar(&s.path, "path", "", "`PATH` in each line: $.patient.ssn, $['odd name'], $.list[*].ssn")
}

// kind is the one thing that the flags say, or an error.
func (s *elementSource) kind(t *tableFlags) (sourceKind, error) {
	kind, given := ofValue, 0
	for _, k := range []struct {
		is   bool
		kind sourceKind
	}{{s.csv, ofCSV}, {s.jsonl, ofJSONL}, {s.stream, ofStream}, {t.given(), ofTable}} {
		if k.is {
			kind, given = k.kind, given+1
		}
	}
	switch {
	case given > 1:
		return 0, usagef("--csv, --jsonl, --stream and --dsn exclude one another")
	case (kind == ofCSV || kind == ofTable) && s.column == "":
		return 0, usagef("which column? Give --column")
	case kind == ofTable && t.table == "":
		return 0, usagef("which table? Give --table")
	case kind == ofJSONL && s.path == "":
		return 0, usagef("which value of each line? Give --path, such as $.patient.ssn")
	case kind != ofCSV && kind != ofTable && s.column != "":
		return 0, usagef("--column belongs to --csv or --dsn")
	case kind != ofCSV && s.header:
		return 0, usagef("--header belongs to --csv")
	case kind != ofJSONL && (s.path != "" || s.missing):
		return 0, usagef("--path and --skip-missing belong to --jsonl")
	case kind == ofTable && (s.in != "" || s.out != ""):
		return 0, usagef("--in and --out are for values and files")
	case kind != ofTable:
		return kind, t.unused()
	}
	return kind, nil
}

// comma is the delimiter.
func (s *elementSource) comma() (byte, error) {
	if s.delimiter == "tab" || s.delimiter == `\t` {
		return '\t', nil
	}
	if len(s.delimiter) != 1 {
		return 0, usagef("--delimiter is one character, or tab")
	}
	return s.delimiter[0], nil
}

// reader opens the input. Reads end when ctx does.
func (p *program) reader(ctx context.Context, s *elementSource) (io.Reader, func(), error) {
	if s.in == "" {
		return awaited{ctx, p.stdin}, func() {}, nil
	}
	if fi, err := os.Stat(s.in); err == nil && fi.IsDir() {
		return nil, nil, usagef("%s is a folder", s.in)
	}
	f, err := os.Open(s.in)
	if err != nil {
		return nil, nil, missing("file", s.in, err)
	}
	return awaited{ctx, f}, func() { _ = f.Close() }, nil // it was only read from
}

// awaited is a reader that stops waiting when its context ends.
type awaited struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader]. What arrives after the end goes nowhere.
func (a awaited) Read(b []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return await(a.ctx, func() (int, error) { return a.r.Read(b) })
}

// readValue reads a value, whole. The caller wipes it.
func (p *program) readValue(ctx context.Context, s *elementSource) ([]byte, error) {
	r, done, err := p.reader(ctx, s)
	if err != nil {
		return nil, err
	}
	defer done()
	const most = 2 * element.MaxValue // a text form of the longest value
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && len(b) > most {
		err = fault.Hint(usagef("a value has at most %d bytes", element.MaxValue), "Longer ones are streams: --stream.")
	}
	if err != nil {
		secmem.Wipe(b)
		return nil, fmt.Errorf("read: %w", err)
	}
	return b, nil
}

// writing opens the output, lets write write, and makes a file durable, or leaves none.
func (p *program) writing(s *elementSource, write func(io.Writer) error) error {
	if s.out == "" {
		return write(p.stdout)
	}
	err := fsx.Create(fsx.OS(), s.out, 0o600, func(f fsx.File) error { return write(io.NewOffsetWriter(f, 0)) })
	if errors.Is(err, os.ErrExist) {
		return fault.Hint(err, "Nothing is overwritten. Name another file with --out.")
	}
	return err
}
