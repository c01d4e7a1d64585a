package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// logHandler prints what the engine reports as notes and warnings, one line each.
type logHandler struct {
	mu    *sync.Mutex // guards out
	out   io.Writer
	attrs []slog.Attr
}

var _ slog.Handler = logHandler{}

// logger is for volumes that this program opens.
func (p *program) logger() *slog.Logger {
	return slog.New(logHandler{mu: new(sync.Mutex), out: p.stderr})
}

// Enabled implements [slog.Handler]: people want no debugging.
func (h logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString("note: ")
	if r.Level >= slog.LevelWarn {
		b.Reset()
		b.WriteString("warning: ")
	}
	b.WriteString(strings.TrimPrefix(r.Message, "coffer: "))
	add := func(a slog.Attr) bool {
		fmt.Fprintf(&b, ", %s %v", a.Key, a.Value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.out, oneLine(b.String()))
	return err
}

// WithAttrs implements [slog.Handler].
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup implements [slog.Handler]. Groups are not shown.
func (h logHandler) WithGroup(string) slog.Handler { return h }
