package blockstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// RestoreOptions of a restore. Of Options those count that say what is accepted
// (AllowPlain, ExpectUUID, ExpectKey, ExpectAnchor), FS, Logger, Workers and CheckpointBytes.
type RestoreOptions struct {
	Options
	// BaseDir is a folder to look in for the backups that an incremental one adds
	// to; they are looked for under the path they were made with, and beside what adds to them, first.
	BaseDir string
	// JournalDir is a folder of journal segments to go on with behind the backup;
	// the folder of the original volume will do. It is only read. Empty: the state of the backup is the end.
	JournalDir string
	// UntilCommit ends with the last commit of this sequence number or a lower
	// one. 0: no bound. Lower than the backup's own, or higher than the last there is, is refused with [ErrState].
	UntilCommit uint64
	// UntilTime ends before the first commit whose writer's clock said more. Zero: no bound.
	UntilTime time.Time
	// Perm of the file; 0 is 0600.
	Perm fs.FileMode
	// Progress, where set, is told now and then how many of how many bytes of backups were read.
	Progress func(done, total int64)
}

// RestoreInfo says what was restored.
type RestoreInfo struct {
	Volume   UUID      `json:"volume"`
	Backups  []UUID    `json:"backups"` // that were read, the full one first
	Sequence uint64    `json:"sequence"`
	Size     int64     `json:"size"`
	Blocks   uint64    `json:"blocks"`
	Rolled   uint64    `json:"commits_rolled_forward"` // behind the backup's own
	Last     time.Time `json:"last_commit"`            // by its writer's clock; zero where no commit was replayed
	Anchor   Anchor    `json:"anchor"`                 // of the restored state
}

// Restore makes a volume at path from a backup: complete, closed cleanly, with
// the UUID, keys and suite that it was backed up with, and a history of its own from here
// on. Nothing may be at path, nor a journal folder beside it ([ErrState]).
//
// Everything is read and authenticated before it is believed: a backup, or a
// base, that is altered, damaged or cut short is [ErrTampered] or [ErrDamaged];
// a key that is not in the keyring [ErrNotActivated]; a gap in the journal [ErrDamaged]. The
// volume is built under a temporary name, every block of it is verified, and it is renamed
// last: an error, or a crash, leaves nothing at path. (Only with [ErrOutcomeUnknown] the volume is there, and
// may be gone after a power cut: its folder could not be synced.)
//
// With ExpectAnchor the restored state must contain what the anchor names.
func Restore(ctx context.Context, source, path string, keys *dek.Keyring, o *RestoreOptions) (info *RestoreInfo, err error) {
	if o == nil {
		o = new(RestoreOptions)
	}
	ro := *o
	if ro.Options, err = o.withDefaults(); err != nil {
		return nil, err
	}
	ro.ReadOnly = false
	setDefault(&ro.Perm, 0o600)
	if err := fips.Start(ro.Logger); err != nil {
		return nil, fmt.Errorf("blockstore: restore: %w", err)
	}
	if err := nothingThere(ro.FS, path); err != nil {
		return nil, err
	}
	chain, err := openChain(ro.FS, source, ro.BaseDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, chain.close()) }()
	r := &restorer{o: &ro, chain: chain}
	for _, b := range chain {
		r.total += 2 * b.size
	}
	if err := r.check(ctx, path, keys); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	err = fsx.Create(ro.FS, path, ro.Perm, func(f fsx.File) error { return r.build(ctx, f) })
	if errors.Is(err, fs.ErrExist) {
		err = errors.Join(err, fault.State)
	}
	if err != nil {
		return nil, fmt.Errorf("blockstore: restore: %w", err)
	}
	return &r.info, nil
}

// nothingThere refuses a path that is taken, and a journal that would be taken for the new volume's.
func nothingThere(fsys fsx.FS, path string) error {
	for _, p := range []string{path, journalDir(path)} {
		switch _, err := fsys.Stat(p); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("blockstore: restore: %w", err)
		default:
			return fault.Hint(fmt.Errorf("blockstore: restore: %s exists: %w", p, errors.Join(fs.ErrExist, fault.State)),
				"choose another name, or move it away; nothing is overwritten")
		}
	}
	return nil
}

// restorer is a restore under way.
type restorer struct {
	o     *RestoreOptions
	chain backupChain // the backup to restore first
	proof *backupProof
	s     *Store // over the file in the making
	end   restorePoint
	info  RestoreInfo

	done, total int64 // bytes, for the progress
}

func (r *restorer) newest() *backupFile { return r.chain[0] }

// check proves every backup and takes the keys; nothing is written.
func (r *restorer) check(ctx context.Context, path string, keys *dek.Keyring) error {
	if err := r.mayReach(); err != nil {
		return err
	}
	for i, b := range r.chain {
		p, err := b.prove(ctx, r.progress())
		if err != nil {
			return fmt.Errorf("%s: %w", b.path, err)
		}
		if i == 0 {
			r.proof = p
		}
		r.info.Backups = append([]UUID{b.start.id}, r.info.Backups...)
	}
	l := r.proof.l
	if err := checkPolicy(l, &r.o.Options); err != nil {
		return err
	}
	r.s = new(Store)
	r.s.init(path, nil, keys, r.o.Options, l)
	r.s.holder = fmt.Sprintf("restore of volume %v", l.volume)
	err := r.proof.believe(r.s)
	if err == nil && r.s.opts.ReadOnly {
		err = fmt.Errorf("blockstore: the write key %v is activated for decryption only, and a restore seals blocks: %w", l.write().key, fault.State)
	}
	if err != nil {
		return errors.Join(err, r.close())
	}
	return nil
}

// mayReach refuses a point before the backup's own.
func (r *restorer) mayReach() error {
	h, f := r.newest().start, r.newest().finish
	const earlier = "restore an earlier backup"
	if n := r.o.UntilCommit; n != 0 && n < f.end.Seq {
		return fault.Hint(fmt.Errorf("blockstore: commit %d: the backup itself is of sequence %d: %w", n, f.end.Seq, fault.State), earlier)
	}
	if t := r.o.UntilTime; !t.IsZero() && t.Unix() <= h.began {
		return fault.Hint(fmt.Errorf("blockstore: %s: the backup itself was begun at %s: %w", t.Format(time.RFC3339),
			timeOf(h.began).Format(time.RFC3339), fault.State), earlier)
	}
	return nil
}

func (r *restorer) close() error {
	r.s.stop()
	r.s.ciphers.close()
	return r.s.spill.close()
}

// progress returns a function that counts the bytes of a pass over a backup.
func (r *restorer) progress() func(*backupScan, backupKind, []byte) error {
	before := r.done
	return func(c *backupScan, _ backupKind, payload []byte) error {
		r.done = before + c.off
		if r.o.Progress != nil {
			r.o.Progress(min(r.done, r.total), r.total)
		}
		return nil
	}
}

// build is the list of steps over the file in the making, which is empty.
func (r *restorer) build(ctx context.Context, f fsx.File) error {
	s := r.s
	s.file = f
	if err := f.Truncate(dataStart); err != nil {
		return err
	}
	for _, b := range r.chain { // the newest first: what it has is not taken from a base
		if err := r.groups(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", b.path, err)
		}
	}
	root, err := r.tree(ctx)
	if err != nil {
		return err
	}
	if err := r.begin(root); err != nil {
		return err
	}
	if err := r.replay(ctx); err != nil {
		return err
	}
	if err := r.finish(); err != nil {
		return err
	}
	rep, err := s.Verify(ctx, VerifyOptions{})
	if err == nil {
		err = rep.Err()
	}
	if err != nil {
		return fmt.Errorf("verify what was restored: %w", err)
	}
	return f.Sync()
}
