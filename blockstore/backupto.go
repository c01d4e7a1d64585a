package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"unicode/utf8"

	"github.com/cofferdb/coffer/dek"
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
	if !utf8.ValidString(abs) {
		return nil, fmt.Errorf("blockstore: the path %q is not UTF-8, so it cannot be recorded: %w", abs, fault.Usage)
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
			"the backup is whole and can be restored; but the volume does not list it, nor the keys it needs: coffer backup record VOLUME DEST (in Go RecordBackupAt)")
	}
	return info, nil
}

// RecordBackupAt records a backup that [Store.BackupTo] made in a file, and did not
// come to record: it was killed, or said [ErrUnrecorded]. The file is read as a whole
// and authenticated first, and must be a backup of this volume's history. Refused
// with [ErrState] are one of another volume and one that is recorded already; one that is altered, or
// not whole, with [ErrTampered] or [ErrDamaged]. The backups that it adds to are not looked at.
func (s *Store) RecordBackupAt(ctx context.Context, path string) (info *BackupInfo, err error) {
	if err := s.enterWrite(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("blockstore: record a backup: %w", err)
	}
	b, err := openBackup(s.opts.FS, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := s.precedes(b); err != nil {
		return nil, fault.Hint(fmt.Errorf("blockstore: record %s: %w", path, err), "only a backup of this volume, since it was last restored, is recorded")
	}
	if err := s.believes(ctx, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.opts.FS.SyncDir(filepath.Dir(path)); err != nil { // the run that made it may not have come to this
		return nil, fmt.Errorf("blockstore: record a backup: %w", err)
	}
	i := backupInfo(b.start, b.finish, b.size)
	return &i, s.RecordBackup(ctx, i.Record(abs))
}

// believes reads a whole backup and authenticates it with the keys of this store.
func (s *Store) believes(ctx context.Context, b *backupFile) error {
	p, err := b.prove(ctx, nil)
	if err != nil {
		return err
	}
	o := s.opts
	now := s.label.Load()
	o.ExpectAnchor, o.ExpectKey = nil, dek.ID{} // it may be from before a re-key
	o.AllowPlain = now.slots[now.macSlot].suite == None
	if err := checkPolicy(p.l, &o); err != nil { // the volume may be encrypted, and what is said to be its backup not
		return err
	}
	t := new(Store)
	t.init(b.path, nil, s.keys, o, p.l)
	err = p.believe(t)
	t.stop()
	t.ciphers.close()
	return errors.Join(err, t.spill.close())
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
