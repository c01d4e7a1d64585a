package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fsx"
)

// Destroy overwrites every slot file in a folder with zeros and removes it,
// then the folder if nothing else is in it. It is for a volume that is erased;
// nobody may have the journal open. A missing folder is no error.
func Destroy(fsys fsx.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: read folder: %w", err)
	}
	left := 0
	for _, name := range names {
		if _, ok := slotNumber(name); !ok {
			left++
			continue
		}
		if err := destroyFile(fsys, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("journal: destroy %s: %w", name, err)
		}
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("journal: sync folder: %w", err)
	}
	if left > 0 {
		return nil
	}
	if err := fsys.Remove(dir); err != nil {
		return fmt.Errorf("journal: remove folder: %w", err)
	}
	return nil
}

// destroyFile overwrites a file and removes it. Of what is no file, or has another name too, only the name goes.
func destroyFile(fsys fsx.FS, path string) error {
	if alone, err := fsx.Alone(fsys, path); err != nil {
		return err
	} else if !alone {
		return fsys.Remove(path)
	}
	f, err := fsys.Open(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil {
		err = writeZeros(f, 0, size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.Remove(path)
}
