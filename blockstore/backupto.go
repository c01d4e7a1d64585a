package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// BackupTo makes a backup in a new file, durable under its name when it returns,
// and records it in the volume. A file that exists is refused ([ErrState]); an
// error leaves no file, but where it wraps [ErrUnrecorded]: then the backup is
// whole and in place, and the volume does not list it; so it is with
// [ErrOutcomeUnknown], but that the file may be gone after a power cut.
func (s *Store) BackupTo(ctx context.Context, path string, o BackupOptions) (info *BackupInfo, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("blockstore: backup: %w", err)
	}
	if len(abs) > maxDestination {
		return nil, fmt.Errorf("blockstore: a path of %d bytes, at most %d are recorded: %w", len(abs), maxDestination, fault.Usage)
	}
	if err := s.roomToRecord(abs); err != nil {
		return nil, err
	}
	err = fsx.Create(s.opts.FS, path, 0o600, func(f fsx.File) error {
		info, err = s.Backup(ctx, &fileWriter{f: f}, o)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return nil, fault.Hint(fmt.Errorf("blockstore: backup: %w", errors.Join(err, fault.State)), "choose another name; nothing is overwritten")
	}
	if err != nil {
		return nil, err
	}
	if err := s.RecordBackup(ctx, info.Record(abs)); err != nil {
		return info, fault.Hint(fmt.Errorf("%w: backup %v in %s: %w", ErrUnrecorded, info.ID, path, err),
			"the backup is whole and can be restored; but the volume does not list it, nor the keys it needs")
	}
	return info, nil
}

// ErrUnrecorded: a backup was made, and could not be recorded in the volume.
var ErrUnrecorded = errors.New("blockstore: the backup is there, but could not be recorded in the volume")

// fileWriter writes a file from its beginning.
type fileWriter struct {
	f   fsx.File
	off int64
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.off)
	w.off += int64(n)
	return n, err
}
