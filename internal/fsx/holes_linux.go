package fsx

import (
	"errors"

	"golang.org/x/sys/unix"
)

var _ holes = (*osFile)(nil)

// nextData is lseek with SEEK_DATA: where that fails, for a file system that cannot, everything counts as data. It
// moves the descriptor's own offset, which nothing here uses.
func (o *osFile) nextData(off int64) (next int64, ok bool) {
	err := o.control(func(fd uintptr) (err error) {
		next, err = unix.Seek(int(fd), off, unix.SEEK_DATA)
		return err
	})
	switch {
	case errors.Is(err, unix.ENXIO): // none up to the end
		return off, false
	case err != nil || next < off:
		return off, true
	}
	return next, true
}
