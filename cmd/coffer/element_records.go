package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/internal/splice"
)

// records does a column of CSV or a path of JSON Lines.
func (r *elementRun) records(ctx context.Context, kind sourceKind) error {
	tmpl, err := element.ParseTemplate(r.o.context)
	if err != nil {
		return err
	}
	copier, err := r.o.source.copier(kind)
	if err != nil {
		return err
	}
	in, done, err := r.p.reader(ctx, &r.o.source)
	if err != nil {
		return err
	}
	defer done()
	err = r.p.writing(&r.o.source, func(w io.Writer) error {
		return copier(w, in, func(at splice.Place, v []byte) ([]byte, error) {
			defer secmem.Wipe(v)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return r.record(tmpl, at, v)
		})
	})
	if r.passed > 0 && err == nil {
		r.p.note("%s as they were", count(r.passed, "value")+r.asTheyWere())
	}
	return aboutRecord(err)
}

// asTheyWere says why values were left.
func (r *elementRun) asTheyWere() string {
	if r.op == retable.Encrypt {
		return " that were encrypted already stay"
	}
	return " under other keys, or this one, stay"
}

// copier copies the input to the output with one value of each record changed.
func (s *elementSource) copier(kind sourceKind) (func(io.Writer, io.Reader, splice.Change) error, error) {
	if kind == ofJSONL {
		path, err := splice.ParsePath(s.path)
		return splice.JSONL{Path: path, Missing: s.missing}.Copy, err
	}
	comma, err := s.comma()
	return splice.CSV{Comma: comma, Header: s.header, Column: s.column}.Copy, err
}

// record returns what takes a value's place, nil where it stays.
func (r *elementRun) record(tmpl *element.Template, at splice.Place, v []byte) ([]byte, error) {
	if len(v) == 0 && r.o.empty {
		return nil, nil
	}
	var values []string
	for _, name := range tmpl.Names() {
		other, err := at.Others(name)
		if err != nil {
			return nil, err
		}
		values = append(values, other)
	}
	context, err := tmpl.Context(values...)
	if err != nil {
		return nil, err
	}
	sealed, err := element.DecodeText(bytes.TrimRight(v, whiteSpace))
	switch {
	case r.op == retable.Encrypt && err == nil:
		r.passed++
		return nil, nil
	case r.op == retable.Encrypt && errors.Is(err, element.ErrNotElement):
		out, err := r.keys.EncryptWith(r.suite, v, r.key, context)
		return textOf(out), err
	case err != nil:
		return nil, err
	case r.stays(sealed):
		r.passed++
		return nil, nil
	case r.op == retable.Decrypt:
		return r.keys.Decrypt(sealed, context)
	}
	out, err := r.keys.Rekey(sealed, r.key, context)
	return textOf(out), err
}

func textOf(sealed []byte) []byte {
	if sealed == nil {
		return nil
	}
	return element.AppendText(nil, sealed)
}

// stays reports whether a value is under a key that the flags leave out, or
// under the new key already.
func (r *elementRun) stays(sealed []byte) bool {
	h, err := element.Parse(sealed)
	if err != nil {
		return false // the cipher says why
	}
	if !r.from.IsZero() {
		return h.Key != r.from
	}
	return r.op == retable.Rekey && h.Key == r.key
}

// aboutRecord adds what to do about a record.
func aboutRecord(err error) error {
	var at *splice.Error
	if !errors.As(err, &at) || fault.HintOf(err) != "" {
		return err
	}
	switch {
	case errors.Is(err, element.ErrNotElement):
		return fault.Hint(err, "It is not encrypted. Records before it are printed already. --skip-empty lets empty values pass.")
	case errors.Is(err, splice.ErrMissing):
		return fault.Hint(err, "Records before it are printed already. --skip-missing lets lines pass that have nothing there.")
	}
	return err
}
