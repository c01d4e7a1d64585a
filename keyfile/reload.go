package keyfile

import (
	"fmt"
)

// Reload reads the file again, for keys that somebody added since, with the KEK
// that is held: no password is needed. What is no later state of this very file,
// or no longer has the administrator who opened it, is refused as a change would
// be, and what was read before stays.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return ErrClosed
	}
	data, err := readFile(f.opts.FS, f.path)
	if err != nil {
		return err
	}
	fresh, err := f.accept(data)
	if err != nil {
		return fmt.Errorf("keyfile: read again: %w", err)
	}
	f.cur = fresh
	return nil
}
