package keyfile

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/internal/fsx"
)

// Backup writes a copy of the file as it is on disk now, equal to the byte,
// after checking all of it, and compares what it reads back. The copy has mode 0600; one that exists is never
// overwritten ([ErrFileExists]). Later changes do not reach it: a new
// administrator cannot open it, an old password still does.
func (f *File) Backup(copyPath string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return ErrClosed
	}
	data, err := readFile(f.opts.FS, f.path)
	if err == nil {
		_, err = f.accept(data)
	}
	if err != nil {
		return fmt.Errorf("keyfile: backup: %w", err)
	}
	if err := fsx.Create(f.opts.FS, copyPath, fileMode, writeAll(data)); err != nil {
		return fmt.Errorf("keyfile: backup: %w", notOverwritten(err))
	}
	back, err := readFile(f.opts.FS, copyPath)
	if err == nil && !bytes.Equal(back, data) {
		err = damaged("the copy reads back differently")
	}
	if err != nil {
		return fmt.Errorf("keyfile: backup: %w", errors.Join(err, f.opts.FS.Remove(copyPath)))
	}
	return nil
}
