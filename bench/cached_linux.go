package bench

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// dropCached takes a file out of the system's page cache.
func dropCached(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close()) // what is not on the disk stays in the cache
}
