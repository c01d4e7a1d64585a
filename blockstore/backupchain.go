package blockstore

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// maxChain bounds how many backups are read for one restore.
const maxChain = 1000

// backupChain is a backup with all that it adds to, itself first.
type backupChain []*backupFile

func (c backupChain) close() error {
	var err error
	for _, b := range c {
		err = errors.Join(err, b.close())
	}
	return err
}

// openChain opens a backup and the bases that it needs, each by the path it is
// recorded under, by its name in the folder of what adds to it, or by its ID in baseDir.
func openChain(fsys fsx.FS, path, baseDir string) (c backupChain, err error) {
	b, err := openBackup(fsys, path)
	if err != nil {
		return nil, err
	}
	c = append(c, b)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for !b.start.base.IsZero() {
		if len(c) == maxChain {
			return nil, fmt.Errorf("blockstore: more than %d backups in a chain: %w", maxChain, fault.State)
		}
		base, err := findBase(fsys, b, baseDir)
		if err != nil {
			return nil, err
		}
		b = base
		c = append(c, b)
	}
	return c, nil
}

// findBase opens what a backup adds to.
func findBase(fsys fsx.FS, b *backupFile, baseDir string) (*backupFile, error) {
	places := []string{b.start.basePath, filepath.Join(filepath.Dir(b.path), filepath.Base(b.start.basePath))}
	if baseDir != "" {
		names, err := fsys.ReadDir(baseDir)
		if err != nil {
			return nil, fmt.Errorf("blockstore: look for base backups: %w", err)
		}
		for _, n := range names {
			places = append(places, filepath.Join(baseDir, n))
		}
	}
	var found error
	for _, p := range places {
		base, err := openIfBase(fsys, p, b)
		if base != nil {
			return base, nil
		}
		found = errors.Join(found, err)
	}
	return nil, fault.Hint(fmt.Errorf("blockstore: backup %v adds to backup %v, which is not in %s: %w", b.start.id, b.start.base, b.start.basePath,
		errors.Join(fault.State, found)), "name the folder that it is in: --base DIR (in Go RestoreOptions.BaseDir)")
}

// openIfBase opens a file if it is what b adds to. The error says that it is, and that it is not whole.
func openIfBase(fsys fsx.FS, path string, b *backupFile) (*backupFile, error) {
	if fi, err := fsys.Stat(path); err != nil || !fi.Mode().IsRegular() {
		return nil, ignoreAbsent(err)
	}
	base, err := openBackup(fsys, path)
	if err != nil {
		return nil, nil // not a backup, or not whole: its first record may say nothing true
	}
	h, want := base.start, b.start
	if h.id != want.base {
		return nil, base.close()
	}
	if base.hash != want.baseHash || h.volume != want.volume || h.blockSize != want.blockSize || h.stream != want.stream || h.from.Seq != want.baseSeq {
		err = fmt.Errorf("blockstore: %s is not the backup %v that backup %v was made from: %w", path, h.id, want.id, fault.Tampered)
		return nil, errors.Join(err, base.close())
	}
	return base, nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// backupProof is what a pass over a whole backup brings back: that it is what its
// end says, and what is needed to believe the end.
type backupProof struct {
	b    *backupFile
	raw  []byte // the label as of the end
	l    *label
	last []byte // the end's record
}

// prove reads all of a backup: structure, checksums, hash. Where look is not nil it sees every record.
func (b *backupFile) prove(ctx context.Context, look func(c *backupScan, k backupKind, payload []byte) error) (*backupProof, error) {
	p := &backupProof{b: b}
	err := b.read(ctx, func(c *backupScan, k backupKind, payload []byte) (err error) {
		switch k {
		case backupLabel:
			p.raw = append([]byte(nil), payload...)
			if p.l, err = decodeLabel(payload); errors.Is(err, fault.NotFormat) {
				err = backupError(c.at, "no label is here", fault.Damaged)
			}
		case backupEnd:
			p.last = append([]byte(nil), payload...)
			err = p.sameEnd(c)
		}
		if err == nil && look != nil {
			err = look(c, k, payload)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	h := b.start
	if p.l.volume != h.volume || p.l.blockSize != h.blockSize || p.l.stream != h.stream {
		return nil, backupError(b.size, "its label is of another volume", fault.Tampered)
	}
	return p, nil
}

// sameEnd checks that the end that was met is the one found first, at the end of the file.
func (p *backupProof) sameEnd(c *backupScan) error {
	if sha256.Sum256(p.last) != p.b.hash || c.off != p.b.size {
		return backupError(c.off, "something follows its end", fault.Damaged)
	}
	return nil
}

// believe takes the keys that the label names into s, and checks the MACs of
// label and end: from here on the backup is authentic, but for what bases hold.
func (p *backupProof) believe(s *Store) error {
	if err := s.authenticate(p.raw, p.l); err != nil {
		return fmt.Errorf("blockstore: the backup's label: %w", err)
	}
	mac, err := seal.BackupMAC(s.ciphers.key(p.l.macSlot), p.l.volume, p.last[:backupEndMAC])
	if err != nil {
		return fmt.Errorf("blockstore: MAC of the backup: %w", err)
	}
	if subtle.ConstantTimeCompare(mac[:], p.last[backupEndMAC:]) != 1 {
		return fmt.Errorf("blockstore: the backup does not authenticate: %w", fault.Tampered)
	}
	return nil
}
