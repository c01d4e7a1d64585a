package bench

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

const (
	engineBlock = 8192 // bytes
	giB         = int64(1) << 30
)

// newRing returns a keyring with n keys of 256 bits, activated.
func newRing(n int) (*dek.Keyring, []dek.ID, error) {
	ring := dek.NewKeyring()
	var ids []dek.ID
	for range n {
		k, err := dek.Generate(256)
		if err != nil {
			return nil, nil, err
		}
		err = ring.Activate(k, dek.Database, dek.Active)
		ids = append(ids, k.ID())
		k.Destroy()
		if err != nil {
			return nil, nil, err
		}
	}
	return ring, ids, nil
}

// newVolume makes a volume of size bytes and opens it.
func (r *engineRun) newVolume(name string, size int64, ring *dek.Keyring, key dek.ID, o blockstore.Options) (*blockstore.Store, error) {
	return blockstore.Create(filepath.Join(r.dir, name), ring, blockstore.CreateOptions{Options: o, Size: size, BlockSize: engineBlock, Key: key})
}

// fill writes every block and checkpoints.
func fill(ctx context.Context, s *blockstore.Store) error {
	buf := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	f := s.File()
	for off := int64(0); off < s.Size(); off += int64(len(buf)) {
		_, _ = rng.Read(buf) // never fails
		if _, err := f.WriteAt(buf[:min(int64(len(buf)), s.Size()-off)], off); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return s.Checkpoint(ctx)
}

// copyFile copies a file with plain reads and writes, and syncs it if asked.
func copyFile(from, to string, sync bool) (err error) {
	src, err := fsx.OS().Open(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := fsx.OS().Open(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	size, err := src.Size()
	if err != nil {
		return err
	}
	if err := copyRange(dst, src, size); err != nil || !sync {
		return err
	}
	return dst.Sync()
}

// copyRange copies the first n bytes.
func copyRange(dst, src fsx.File, n int64) error {
	buf := make([]byte, 1<<20)
	for off := int64(0); off < n; off += int64(len(buf)) {
		part := buf[:min(int64(len(buf)), n-off)]
		if _, err := src.ReadAt(part, off); err != nil {
			return err
		}
		if _, err := dst.WriteAt(part, off); err != nil {
			return err
		}
	}
	return nil
}

// labelBytes is the part of a volume before its blocks (FORMAT.md, "Layout").
const labelBytes = 128 << 10

// unclean closes s and puts its labels and journal back to what they were: what
// a machine finds that lost its power late in the checkpoint that closing runs.
func (r *engineRun) unclean(ctx context.Context, s *blockstore.Store, name string) (err error) {
	if err := s.Sync(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	volume, dir := filepath.Join(r.dir, name), filepath.Join(r.dir, name+".journal")
	label, err := readStart(volume)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	segments, err := fsx.OS().ReadDir(dir)
	for _, g := range segments {
		err = errors.Join(err, copyFile(filepath.Join(dir, g), filepath.Join(r.dir, name+"-"+g), false))
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if err := fsx.OS().Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, g := range segments {
		from := filepath.Join(r.dir, name+"-"+g)
		if err := errors.Join(copyFile(from, filepath.Join(dir, g), true), fsx.OS().Remove(from)); err != nil {
			return err
		}
	}
	f, err := fsx.OS().Open(volume, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(label, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func readStart(volume string) ([]byte, error) {
	f, err := fsx.OS().Open(volume, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	b := make([]byte, labelBytes)
	_, err = f.ReadAt(b, 0)
	return b, errors.Join(err, f.Close())
}
