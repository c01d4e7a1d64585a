package blockstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// Names beside a volume in the making, FORMAT.md "Files around a volume".
const (
	makingSuffix = ".coffer-new" // the volume, until it is whole
	jobSuffix    = ".coffer-job" // says whose that is
	jobExport    = "export"
	jobSalvage   = "salvage"
)

// making is a volume that is built under another name and gets its own when it
// is whole and durable. The job's file, durable before anything is made, says
// that what lies at the other name is ours, to take up or to throw away, and is
// locked while somebody works on it.
type making struct {
	fs     fsx.FS
	dest   string
	beside string
	note   string   // what the job's file holds
	lock   fsx.File // the job's file
	left   bool     // an interrupted run left something
}

// beginMaking claims the name dest for an operation on the volume source.
// Nothing at the names it needs is touched that an interrupted run of the same
// operation did not leave. The caller calls release.
func beginMaking(fsys fsx.FS, dest, operation string, source UUID) (*making, error) {
	m := &making{fs: fsys, dest: dest, beside: dest + makingSuffix,
		note: fmt.Sprintf("coffer job 1\n%s\n%s\n", operation, source)}
	_, there, err := m.size(dest)
	if err != nil {
		return nil, err
	}
	if err := m.claim(!there); err != nil && !there {
		return nil, err
	}
	if there {
		return nil, errors.Join(m.exists(), m.tidy())
	}
	return m, nil
}

func (m *making) exists() error {
	return fault.Hint(fmt.Errorf("blockstore: %s: %w", m.dest, errors.Join(fs.ErrExist, fault.State)), "choose another name; nothing is overwritten")
}

// tidy takes away the job of a run that was cut between its last two steps: its volume has its name.
func (m *making) tidy() error {
	if m.lock == nil {
		return nil
	}
	defer m.release()
	if m.left {
		return nil // somebody put another file at the name meanwhile
	}
	return m.end()
}

// claim takes the job's file, or, with fresh, makes it.
func (m *making) claim(fresh bool) error {
	own, err := fsx.Own(m.fs, m.dest+jobSuffix)
	if errors.Is(err, fs.ErrNotExist) && fresh {
		if err := m.create(); err != nil {
			return err
		}
		own, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("blockstore: %w", err)
	}
	if !own {
		return m.inTheWay(m.dest + jobSuffix)
	}
	f, err := fsx.OpenLocked(m.fs, m.dest+jobSuffix, os.O_RDWR, 0, fsx.Exclusive)
	if errors.Is(err, fault.InUse) {
		return fault.Hint(fmt.Errorf("blockstore: %s: %w", m.dest, err), "another process builds the same file")
	}
	if err != nil {
		return fmt.Errorf("blockstore: %w", err)
	}
	have := make([]byte, len(m.note)+1)
	n, err := f.ReadAt(have, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("blockstore: read %s: %w", m.dest+jobSuffix, err), f.Close())
	}
	if string(have[:n]) != m.note {
		return errors.Join(m.inTheWay(m.dest+jobSuffix), f.Close())
	}
	m.lock = f
	return m.look()
}

// look finds out what an interrupted run left. A file that others can have
// opened is none of ours: plain text could go into it.
func (m *making) look() error {
	own, err := fsx.Own(m.fs, m.beside)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		err = fmt.Errorf("blockstore: %w", err)
	case !own:
		err = m.inTheWay(m.beside)
	}
	if err != nil {
		m.release()
		return err
	}
	m.left = true
	return nil
}

// create makes the job's file, where nothing lies at the names that the work needs.
func (m *making) create() error {
	for _, name := range []string{m.beside, journalDir(m.beside)} {
		switch _, there, err := m.size(name); {
		case err != nil:
			return err
		case there:
			return m.inTheWay(name)
		}
	}
	err := fsx.Create(m.fs, m.dest+jobSuffix, 0o600, func(f fsx.File) error {
		_, err := f.WriteAt([]byte(m.note), 0)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("blockstore: note the work: %w", err)
	}
	return nil
}

func (m *making) inTheWay(name string) error {
	return fault.Hint(fmt.Errorf("blockstore: something else is in the way: %s: %w", name, fault.State),
		"this name is where the new volume is built, and no interrupted run of the same work left it; move it away")
}

func (m *making) size(name string) (n int64, there bool, err error) {
	switch fi, err := m.fs.Stat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("blockstore: %w", err)
	default:
		return fi.Size(), true, nil
	}
}

// open makes the volume, or takes up the one that an interrupted run left, if it is what is wanted.
func (m *making) open(keys *dek.Keyring, want CreateOptions) (s *Store, resumed bool, err error) {
	if m.left {
		s, err := Open(m.beside, keys, &want.Options)
		switch {
		case err == nil && fits(s, &want):
			return s, true, nil
		case err == nil:
			err = s.Close()
		case isHalf(err):
			err = nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	if err := m.discard(); err != nil {
		return nil, false, err
	}
	s, err = Create(m.beside, keys, want)
	m.left = m.left || err == nil
	return s, false, err
}

// isHalf reports whether an error says that what an interrupted run left is of no use.
func isHalf(err error) bool {
	for _, marker := range []error{fault.Tampered, fault.Damaged, fault.NotFormat, fault.WrongKey, fault.NotActivated, ErrPlain} {
		if errors.Is(err, marker) {
			return true
		}
	}
	return false
}

// fits reports whether a volume is what Create would make.
func fits(s *Store, want *CreateOptions) bool {
	l := s.label.Load()
	live := 0
	for i := range l.slots {
		if l.slots[i].state == slotLive {
			live++
		}
	}
	return live == 1 && l.conv.op == opNone && l.blockSize == want.BlockSize && s.Size() == want.Size &&
		l.write().suite == want.Suite && l.write().key == want.Key && l.journalKey.IsZero() == (want.Suite == None) && !s.opts.ReadOnly
}

// discard throws away what was built, durably.
func (m *making) discard() error {
	err := journal.Destroy(m.fs, journalDir(m.beside))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = m.fs.Remove(m.beside)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blockstore: remove %s: %w", m.beside, err)
	}
	m.left = false
	return m.syncDir()
}

// abandon throws away what was built, and the job.
func (m *making) abandon() error { return errors.Join(m.discard(), m.end()) }

// promote gives the volume, which is closed and clean, its name.
func (m *making) promote() error {
	err := fsx.PromoteNew(m.fs, m.beside, m.dest)
	if errors.Is(err, fs.ErrExist) {
		return m.exists()
	}
	if err != nil {
		return fmt.Errorf("blockstore: %w", err)
	}
	return m.end()
}

// end forgets the job, durably.
func (m *making) end() error {
	m.release()
	if err := m.fs.Remove(m.dest + jobSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blockstore: %w", err)
	}
	return m.syncDir()
}

func (m *making) syncDir() error {
	if err := m.fs.SyncDir(filepath.Dir(m.dest)); err != nil {
		return fmt.Errorf("blockstore: sync folder: %w", err)
	}
	return nil
}

// release frees the job's file. It may be called again.
func (m *making) release() {
	if m.lock != nil {
		_ = m.lock.Close() // nothing was written through it
		m.lock = nil
	}
}
