package pebblefs

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"io/fs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// A File is what its header says about a file. The header is not authenticated here.
type File struct {
	Path string // below, or where [FS.Files] lists, as Pebble knows it
	Kind Kind   // zero for a file without a byte, such as a marker or a lock, and for the file of names
	Key  dek.ID // zero for a file without a byte
	Size int64  // bytes below
	Err  error  // why the header cannot be read, such as ErrNotCoffer; then there is no kind and no key
}

// Files lists the files in folders and in those inside them, sorted by path, and needs no key.
// Files that are removed meanwhile are left out.
func Files(below vfs.FS, dirs ...string) ([]File, error) {
	var found []File
	for _, dir := range dirs {
		if err := walk(below, dir, func(f File) { found = append(found, f) }); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return slices.CompactFunc(found, func(a, b File) bool { return a.Path == b.Path }), nil
}

// Keys counts files by key: those without a byte are under none and not counted.
func Keys(files []File) map[dek.ID]int {
	counts := map[dek.ID]int{}
	for _, f := range files {
		if !f.Key.IsZero() {
			counts[f.Key]++
		}
	}
	return counts
}

func walk(below vfs.FS, dir string, each func(File)) error {
	names, err := below.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		path := below.PathJoin(dir, name)
		info, err := below.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case info.IsDir():
			if err := walk(below, path, each); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		default:
			if f, ok := describe(below, path, info.Size()); ok {
				each(f)
			}
		}
	}
	return nil
}

// describe reads the header of a file. It returns false for a file that is gone.
func describe(below vfs.FS, path string, size int64) (File, bool) {
	f := File{Path: path, Size: size}
	if size == 0 {
		return f, true
	}
	file, err := below.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, false
	}
	if err != nil {
		f.Err = err
		return f, true
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, pageSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Err = err
		return f, true
	}
	if id, err := parseNames(head[:n]); err == nil {
		f.Key = id
		return f, true
	}
	h, err := parseHeader(head[:n])
	if err != nil {
		f.Err = fmt.Errorf("%s: %w", path, err)
		return f, true
	}
	f.Kind, f.Key = h.kind, h.key
	return f, true
}

// Files is [Files] with names as Pebble knows them. Errors: ErrTampered for a name that is not one of this file system.
func (f *FS) Files(dirs ...string) ([]File, error) {
	files, err := Files(f.inner, dirs...)
	if err != nil || f.names == nil {
		return files, err
	}
	for i := range files {
		path := files[i].Path
		if path == f.names.path || strings.HasSuffix(path, tmpSuffix) {
			continue
		}
		name, ok := f.names.reveal(f.inner.PathBase(path))
		if !ok {
			return nil, fmt.Errorf("pebblefs: %s is not a name of this file system: %w", path, fault.Tampered)
		}
		files[i].Path = f.inner.PathJoin(f.inner.PathDir(path), name)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}
