package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/splice"
)

// elementInfoFlags are those of info.
type elementInfoFlags struct {
	source elementSource
	table  tableFlags
}

func (p *program) elementInfoCmd() *cobra.Command {
	var o elementInfoFlags
	c := p.verb("info < VALUE", "Say which key a value, or each value of a column, needs", noValues,
		func(ctx context.Context, _ []string) error { return p.elementInfo(ctx, &o) })
	c.Long = `Say what a value is and which key it needs, from its header; with --csv, --jsonl,
or --dsn --table --column, count values by key. No key is needed, and nothing is
authenticated: only decrypting tells whether a value is whole.`
	o.source.registerIn(c)
	o.table.registerTable(c)
	jsonFlag(c, &o.table.json)
	return c
}

// valueInfo is what a header says.
type valueInfo struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Suite   string `json:"suite"`
	Key     dek.ID `json:"key"`
	Form    string `json:"form"` // text or binary
	Bytes   int    `json:"bytes,omitempty"`
	Segment int    `json:"segment,omitempty"`
}

func (p *program) elementInfo(ctx context.Context, o *elementInfoFlags) error {
	json := o.table.json
	o.table.json = false // here it belongs to everything
	kind, err := o.source.kind(&o.table)
	if err != nil {
		return err
	}
	var c *retable.Census
	switch kind {
	case ofTable:
		c, err = p.tableInfo(ctx, &o.table, o.source.column)
	case ofCSV, ofJSONL:
		c, err = p.recordInfo(ctx, &o.source, kind)
	default:
		return p.valueInfo(ctx, &o.source, json)
	}
	if err != nil {
		return err
	}
	if json {
		return p.printJSON(c)
	}
	return p.printCensus(c)
}

func (p *program) printCensus(c *retable.Census) error {
	t := p.table()
	for _, id := range ids(c) {
		t.row("key "+id.String(), c.Keys[id])
	}
	for _, row := range []struct {
		what string
		n    int64
	}{{"not encrypted", c.Plain}, {"empty", c.Empty}, {"cut short or altered", c.Broken}} {
		if row.n > 0 {
			t.row(row.what, row.n)
		}
	}
	t.row("values", c.Values)
	return t.flush()
}

// recordInfo counts values of CSV or JSON Lines.
func (p *program) recordInfo(ctx context.Context, s *elementSource, kind sourceKind) (*retable.Census, error) {
	s.missing = true
	copier, err := s.copier(kind)
	if err != nil {
		return nil, err
	}
	in, done, err := p.reader(ctx, s)
	if err != nil {
		return nil, err
	}
	defer done()
	c := &retable.Census{Keys: map[dek.ID]int64{}}
	err = copier(io.Discard, in, func(_ splice.Place, v []byte) ([]byte, error) {
		c.Add(string(v))
		return nil, nil
	})
	return c, err
}

// valueInfo says what one value is. Of a stream it reads the header.
func (p *program) valueInfo(ctx context.Context, s *elementSource, json bool) error {
	r, done, err := p.reader(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	in := bufio.NewReaderSize(r, 1<<16)
	head, err := in.Peek(element.HeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	}
	info := valueInfo{Form: "binary"}
	sealed := head
	if h, err := element.Parse(head); element.IsText(head) || err == nil && h.Kind == element.KindValue {
		b, err := io.ReadAll(io.LimitReader(in, 2*element.MaxValue))
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		var text bool
		if sealed, text, err = sealedIn(b); err != nil {
			return err
		}
		if text {
			info.Form = "text"
		}
		info.Bytes = len(sealed)
	}
	h, err := element.Parse(sealed)
	if err != nil {
		return err
	}
	info.Kind, info.Version, info.Suite, info.Key, info.Segment = h.Kind.String(), h.Version, h.Suite.String(), h.Key, h.Segment
	if json {
		return p.printJSON(info)
	}
	return p.printValue(&info)
}

func (p *program) printValue(i *valueInfo) error {
	t := p.table()
	t.row("kind", fmt.Sprintf("%s, version %d", i.Kind, i.Version))
	t.row("suite", i.Suite)
	t.row("key", i.Key)
	if i.Segment > 0 {
		t.row("segments of", count(i.Segment, "byte"))
	} else {
		t.row("form", fmt.Sprintf("%s, %s", i.Form, count(i.Bytes, "byte")))
	}
	return t.flush()
}
