package journal

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cofferdb/coffer/internal/fsx"
)

const slotPrefix = "segment-"

func slotName(n int) string { return fmt.Sprintf("%s%06d", slotPrefix, n) }

// slotNumber returns the number in a slot's name; other files in the folder are none of ours.
func slotNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, slotPrefix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n > 0 && slotName(n) == name
}

// found is a slot file as it was found in the folder. It is not open: see [image].
type found struct {
	name string
	fsys fsx.FS
	path string
	size int64
	hdr  header
	err  error // why there is no header; nil where there is
	gone bool  // removed meanwhile
	slot *slot // to remove it with, where there is one
}

// readFolder reads the header of every slot in a folder, one after the other, so
// that a folder may hold more slots than a process files. An unreadable header
// is noted in the slot, a failing disk ends it. A slot that goes while the
// folder is read counts as gone before.
func readFolder(fsys fsx.FS, dir string) (slots []*found, err error) {
	return readSlots(fsys, dir, func(_ *found, err error) error { return err })
}

// readSlots is readFolder that asks failed what to do where the disk fails on a slot: with nil it goes on.
func readSlots(fsys fsx.FS, dir string, failed func(*found, error) error) (slots []*found, err error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("journal: read folder: %w", err)
	}
	for _, name := range names {
		if _, ok := slotNumber(name); !ok {
			continue
		}
		s, err := findSlot(fsys, dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			if err = failed(s, err); err != nil {
				return nil, fmt.Errorf("journal: read %s: %w", name, err)
			}
		}
		slots = append(slots, s)
	}
	return slots, nil
}

// findSlot reads a slot's header. The slot is returned with an error too.
func findSlot(fsys fsx.FS, dir, name string) (*found, error) {
	s := &found{name: name, fsys: fsys, path: filepath.Join(dir, name)}
	f, err := fsys.Open(s.path, os.O_RDONLY, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.size, err = f.Size(); err != nil {
		return s, err
	}
	return s, s.readHeader(f)
}

func (s *found) readHeader(f fsx.File) error {
	b := make([]byte, MinUnit)
	n, err := readFull(f, b, 0)
	if err != nil {
		return err
	}
	if unit, ok := headerUnit(b[:n]); ok && unit > MinUnit {
		b = make([]byte, unit)
		if n, err = readFull(f, b, 0); err != nil {
			return err
		}
	}
	s.hdr, s.err = decodeHeader(b[:n])
	return nil
}

// info describes the slot for a listing.
func (s *found) info() SegmentInfo {
	i := s.hdr.info()
	i.Slot, i.FileBytes, i.Err = s.name, s.size, s.err
	if s.err != nil {
		i.State = StateDamaged
	}
	return i
}

// readFull is io.ReaderAt.ReadAt for which a file that ends early is no error.
func readFull(r io.ReaderAt, b []byte, off int64) (int, error) {
	n, err := r.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// makeFolder makes dir and its name durable.
func makeFolder(fsys fsx.FS, dir string) error {
	if err := fsys.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("journal: make folder: %w", err)
	}
	if err := fsys.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return fmt.Errorf("journal: sync parent folder: %w", err)
	}
	return nil
}

// zeros is what files are filled with, a chunk at a time. Nobody writes to it.
var zeros = make([]byte, 256<<10)

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

func nonZero(b []byte) int64 { return int64(len(b) - bytes.Count(b, []byte{0})) }

func sameMAC(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

func roundUp(n, unit int64) int64 { return (n + unit - 1) &^ (unit - 1) }
