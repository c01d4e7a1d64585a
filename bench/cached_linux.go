package bench

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/cofferdb/coffer/internal/fsx"
)

// dropCached takes a file out of the system's page cache.
func dropCached(path string) error {
	synced, err := fsx.OS().Open(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(synced.Sync(), synced.Close()); err != nil { // what is not on the disk stays in the cache
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
}
