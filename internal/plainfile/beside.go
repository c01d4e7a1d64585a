package plainfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

const (
	newSuffix     = ".coffer-new" // the file in the making, beside the old one
	jobSuffix     = ".coffer-job" // says whose that is
	journalSuffix = ".journal"    // a volume's journal folder
)

// maxPasses bounds how often the work starts again because the file changed.
const maxPasses = 5

// exists says whether there is something of that name, and its size in bytes.
func exists(fsys fsx.FS, path string) (size int64, ok bool, err error) {
	switch fi, err := fsys.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("plainfile: %w", err)
	default:
		return fi.Size(), true, nil
	}
}

// removeJournal removes a volume's journal, and its folder if nothing else is
// in it, durably. None is no error.
func removeJournal(fsys fsx.FS, volume string) error {
	_, there, err := exists(fsys, volume+journalSuffix)
	if err != nil || !there {
		return err
	}
	if err := journal.Destroy(fsys, volume+journalSuffix); err != nil {
		return fmt.Errorf("plainfile: %w", err)
	}
	return syncDirOf(fsys, volume)
}

// discard removes a half-built file with its journal folder, durably.
func discard(fsys fsx.FS, path string) error {
	if err := removeJournal(fsys, path); err != nil {
		return err
	}
	if err := remove(fsys, path); err != nil {
		return err
	}
	return syncDirOf(fsys, path)
}

func remove(fsys fsx.FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("plainfile: %w", err)
	}
	return nil
}

func syncDirOf(fsys fsx.FS, path string) error {
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("plainfile: sync folder: %w", err)
	}
	return nil
}

// checkSpace fails with ErrSpace unless need bytes fit beside what is built already.
func checkSpace(fsys fsx.FS, path string, need, built int64) error {
	free, err := fsys.FreeSpace(filepath.Dir(path))
	if errors.Is(err, fault.Unsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("plainfile: free space: %w", err)
	}
	if more := need - built; more > free {
		return fault.Hint(fmt.Errorf("%w: %d bytes are needed beside %s, %d are free", ErrSpace, more, path, free),
			"The new file is built beside the old one before it takes its place. Make room, or move the file to a larger disk.")
	}
	return nil
}

// buildRedo is how much redo starts a checkpoint of a volume in the making, in
// bytes: little, so that a file needs about its own size free and not three
// times that. Segments have a quarter of it.
func buildRedo(size int64) int64 {
	const least, most = 2 << 20, 8 << 20
	return min(max(size/8, least), most)
}

// volumeBytes is about what a volume of size bytes takes on disk while it is
// built: data, a pair of metadata blocks of 8 KiB for each group of about 160
// blocks and 1/64 of that for the tree, labels, and the journal: writers wait
// at two checkpoints' worth, and as many segments are kept to be used again.
func volumeBytes(size int64, blockSize int) int64 {
	groups := size/(int64(blockSize)*160) + 2
	meta := groups * 2 * 8192
	return size + int64(blockSize) + meta + meta/64 + 256<<10 + min(5*buildRedo(size), 4*size+2<<20)
}
