package main

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// rowPrinter prints a result, row by row.
type rowPrinter interface {
	row(s *sqlite3.Stmt) error
	end() error
}

func (r *sqlRun) printer(s *sqlite3.Stmt) rowPrinter {
	names := make([]string, s.ColumnCount())
	for i := range names {
		names[i] = s.ColumnName(i)
	}
	switch {
	case r.flags.json:
		return &jsonRows{p: r.p, names: names, sep: "["}
	case r.flags.csv:
		return newCSVRows(r.p, names)
	}
	t := r.p.table()
	t.row(cells(names)...)
	return &tableRows{t}
}

func cells(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`, "\v", `\v`, "\f", `\f`).Replace(t)
	}
	return out
}

// texts returns a row as people read it; null is what stands for NULL.
func texts(s *sqlite3.Stmt, null string) []string {
	out := make([]string, s.ColumnCount())
	for i := range out {
		switch s.ColumnType(i) {
		case sqlite3.NULL:
			out[i] = null
		case sqlite3.BLOB:
			out[i] = hex.EncodeToString(s.ColumnRawBlob(i))
		default:
			out[i] = s.ColumnText(i)
		}
	}
	return out
}

// tableRows prints columns of one width; they wait for the end.
type tableRows struct{ t *table }

func (t *tableRows) row(s *sqlite3.Stmt) error {
	t.t.row(cells(texts(s, "NULL"))...)
	return nil
}

func (t *tableRows) end() error { return t.t.flush() }

// csvRows prints RFC 4180; NULL is an empty field.
type csvRows struct {
	w   *csv.Writer
	err error
}

func newCSVRows(p *program, names []string) *csvRows {
	w := csv.NewWriter(p.stdout)
	return &csvRows{w, w.Write(names)}
}

func (c *csvRows) row(s *sqlite3.Stmt) error {
	if c.err == nil {
		c.err = c.w.Write(texts(s, ""))
	}
	return c.err
}

func (c *csvRows) end() error {
	if c.w.Flush(); c.err == nil {
		c.err = c.w.Error()
	}
	return c.err
}

// jsonRows prints an array of objects, whose names are in the order of the columns.
type jsonRows struct {
	p     *program
	names []string
	sep   string
}

func (j *jsonRows) row(s *sqlite3.Stmt) error {
	var b bytes.Buffer
	b.WriteString(j.sep)
	j.sep = ",\n "
	for i, name := range j.names {
		b.WriteByte("{,"[min(i, 1)])
		for _, v := range []any{name, value(s, i)} {
			text, err := json.Marshal(v)
			if err != nil { // an infinite number
				text = []byte("null")
			}
			b.Write(text)
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	_, err := j.p.stdout.Write(b.Bytes())
	return err
}

func (j *jsonRows) end() error {
	if j.sep == "[" {
		return j.p.print("[]")
	}
	return j.p.print("]")
}

// value returns a column as JSON has it.
func value(s *sqlite3.Stmt, i int) any {
	switch s.ColumnType(i) {
	case sqlite3.NULL:
		return nil
	case sqlite3.INTEGER:
		return s.ColumnInt64(i)
	case sqlite3.FLOAT:
		return s.ColumnFloat(i)
	case sqlite3.BLOB:
		return hex.EncodeToString(s.ColumnRawBlob(i))
	}
	return s.ColumnText(i)
}
