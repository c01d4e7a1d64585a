package blockstore

import (
	"errors"
	"fmt"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// BackupLabel writes a copy of the volume's label into a new file; needs no key.
//
// The copy brings the volume back only as long as nothing was written after
// it: a label names the tree of one state. Make it after every clean close
// that matters.
func BackupLabel(path, target string, o *Options) error {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	f, err := openLocked(opts.FS, path, true)
	if err != nil {
		return err
	}
	raw, err := newestLabel(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = fsx.Create(opts.FS, target, 0o600, func(c fsx.File) error {
		_, err := c.WriteAt(raw, 0)
		return err
	})
	if errors.Is(err, os.ErrExist) {
		err = errors.Join(err, fault.State)
	}
	if err != nil {
		return fmt.Errorf("blockstore: back up the label: %w", err)
	}
	return nil
}

func newestLabel(f fsx.File) ([]byte, error) {
	copies, err := readLabels(f)
	if err != nil {
		return nil, err
	}
	l, err := copies.choose()
	if err != nil {
		return nil, err
	}
	return copies.rawOf(l), nil
}

// RestoreLabel puts a copy made by [BackupLabel] back into both places. It is
// for a volume whose own copies are both gone: while one is intact and newer,
// or of another volume, it refuses.
func RestoreLabel(path, source string, o *Options) (err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	c, err := opts.FS.Open(source, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("blockstore: open the label's copy: %w", err)
	}
	raw := make([]byte, labelSize)
	err = errors.Join(readFull(c, raw, 0), c.Close())
	if errors.Is(err, errCutShort) && string(raw[:len(labelMagic)]) != labelMagic { // never was one
		return fmt.Errorf("blockstore: %s is no copy of a label: %w", source, fault.NotFormat)
	}
	if err != nil {
		return fmt.Errorf("blockstore: read the label's copy: %w", err)
	}
	l, err := decodeLabel(raw)
	if err != nil {
		return fmt.Errorf("blockstore: the copy is no label: %w", err)
	}
	f, err := openLocked(opts.FS, path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := mayRestore(f, l); err != nil {
		return err
	}
	for _, off := range labelOffsets {
		if _, err := f.WriteAt(raw, off); err != nil {
			return fmt.Errorf("blockstore: write label: %w", err)
		}
		if err := f.SyncData(); err != nil {
			return fmt.Errorf("blockstore: sync label: %w", err)
		}
	}
	return nil
}

func mayRestore(f fsx.File, l *label) error {
	copies, err := readLabels(f)
	if err != nil {
		return err
	}
	for i, have := range copies.l {
		switch {
		case have == nil:
		case have.volume != l.volume:
			return fmt.Errorf("blockstore: the copy is of volume %v, the file of %v: %w", l.volume, have.volume, fault.State)
		case have.generation > l.generation:
			return fault.Hint(fmt.Errorf("blockstore: label %d is intact and newer (generation %d, the copy has %d): %w", i+1, have.generation, l.generation, fault.State),
				"nothing needs to be restored: opening the volume for writing repairs the other copy")
		}
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("blockstore: size: %w", err)
	}
	if size < dataStart {
		return fmt.Errorf("blockstore: the file is too short for a volume: %w", fault.NotFormat)
	}
	return nil
}

// Erase destroys what makes a volume readable: both labels, with the salts of
// its subkeys, and the journal. What it cannot reach: copies of the label and
// backups; and a flash disk may keep overwritten sectors until it reuses them.
// The data itself stays, as ciphertext without salts; under suite none it is
// still plaintext.
func Erase(path string, o *Options) (err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return err
	}
	path = fsx.Resolve(opts.FS, path)
	f, err := openLocked(opts.FS, path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	copies, err := readLabels(f)
	if err != nil {
		return err
	}
	if copies.l[0] == nil && copies.l[1] == nil && !errors.Is(copies.none(), fault.Damaged) {
		return copies.none()
	}
	// The journal first: while a label is there, an interrupted erase can be run again.
	if err := journal.Destroy(opts.FS, journalDir(path)); err != nil {
		return fmt.Errorf("blockstore: erase the journal: %w", err)
	}
	zeros := make([]byte, dataStart)
	if _, err := f.WriteAt(zeros, 0); err != nil {
		return fmt.Errorf("blockstore: erase the label: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("blockstore: erase the label: %w", err)
	}
	return nil
}
