package fsx

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func clean(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }

// lookup finds the place of a name and what is there: nil if nothing. The root
// has no place. The caller holds mu.
func (m *Mem) lookup(name string) (slot, *node, error) {
	p := clean(name)
	if p == "/" {
		return slot{}, m.root, nil
	}
	parts := strings.Split(p[1:], "/")
	d := m.root
	for _, part := range parts[:len(parts)-1] {
		next := d.entries[part]
		if next == nil {
			return slot{}, nil, fs.ErrNotExist
		}
		if !next.dir {
			return slot{}, nil, syscall.ENOTDIR
		}
		d = next
	}
	at := slot{d, parts[len(parts)-1]}
	return at, d.entries[at.name], nil
}

func (m *Mem) lookupAlive(name string) (slot, *node, error) {
	if err := m.alive(); err != nil {
		return slot{}, nil, err
	}
	return m.lookup(name)
}

func (m *Mem) directory(name string) (*node, error) {
	_, n, err := m.lookupAlive(name)
	switch {
	case err != nil:
		return nil, err
	case n == nil:
		return nil, fs.ErrNotExist
	case !n.dir:
		return nil, syscall.ENOTDIR
	}
	return n, nil
}

func sortedNames(entries map[string]*node) []string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

type memInfo struct {
	name    string
	size    int64
	mode    fs.FileMode
	changed time.Time
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) Mode() fs.FileMode  { return i.mode }
func (i memInfo) ModTime() time.Time { return i.changed }
func (i memInfo) IsDir() bool        { return i.mode.IsDir() }
func (i memInfo) Sys() any           { return nil }
