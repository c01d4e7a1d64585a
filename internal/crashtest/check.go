package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"syscall"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// picture is a disk after a power cut, and what must be found on it: one of
// states, of which the first was acknowledged.
type picture struct {
	disk   *fsx.Mem
	states []state
	made   bool // the volume's creation was acknowledged
	where  string
	seed   uint64
}

// check opens a picture and compares. Some recoveries are cut once more.
func (p *program) check(pic picture) error {
	rng := rand.New(rand.NewPCG(pic.seed, 2))
	if rng.IntN(2) == 0 { // else whoever recovers finds the disk as full as it was
		pic.disk.SetCapacity(0)
	}
	if rng.IntN(4) == 0 {
		if err := p.checkReadOnly(pic); err != nil {
			return fmt.Errorf("read-only: %w", err)
		}
	}
	var again *fsx.Mem
	if rng.IntN(3) == 0 {
		disk, n := pic.disk, 1+rng.IntN(25)
		disk.SetHook(func(op fsx.Op) error {
			if op.Kind != fsx.OpRead && n > 0 {
				if n--; n == 0 {
					again = disk.CrashInHook(rng)
				}
			}
			return nil
		})
	}
	written, err := p.checkWritable(pic, rng)
	if err != nil || again == nil {
		return err
	}
	p.counts.cuts.Add(1)
	pic.states = append(pic.states[:len(pic.states):len(pic.states)], written)
	pic.disk, pic.seed = again, rng.Uint64()
	if _, err := p.checkWritable(pic, rng); err != nil {
		return fmt.Errorf("cut again during recovery: %w", err)
	}
	return nil
}

func (p *program) checkReadOnly(pic picture) error {
	capacity := pic.disk.Clone() // a full disk must not keep a reader out, but may deny a large one its memory
	capacity.SetCapacity(0)
	pic.disk = capacity
	return untouched(pic.disk, func() error {
		o := p.config.on(pic.disk)
		o.ReadOnly = true
		s, ring, err := p.open(o)
		if err != nil {
			return p.absent(pic, err)
		}
		want, err := p.matches(s, pic)
		if err == nil {
			err = verify(s, want, true)
		}
		return errors.Join(err, s.Close(), ring.Close())
	})
}

// untouched runs something that must leave the disk as it is: every change is
// refused and is an error, whether or not it was handled, but for those of
// temporary files without a name; and all files are compared.
func untouched(disk *fsx.Mem, do func() error) error {
	before, err := contents(disk)
	if err != nil {
		return err
	}
	var touched error
	disk.SetHook(func(op fsx.Op) error {
		unnamed := path.Base(op.Name) == "(anonymous)"
		if op.Kind == fsx.OpRead || unnamed && (op.Kind == fsx.OpCreate || op.Kind == fsx.OpWrite) {
			return nil
		}
		touched = fmt.Errorf("a read-only open tried a %v of %s", op.Kind, op.Name)
		return syscall.EROFS
	})
	err = do()
	disk.SetHook(nil)
	if err := errors.Join(touched, err); err != nil {
		return err
	}
	after, err := contents(disk)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(before, after, file.equal) {
		return errors.New("a read-only open changed the disk")
	}
	return nil
}

type file struct {
	name string
	data []byte
}

func (f file) equal(o file) bool { return f.name == o.name && bytes.Equal(f.data, o.data) }

// contents returns all files of a disk.
func contents(disk *fsx.Mem) (all []file, err error) {
	for _, name := range disk.Files() {
		data, err := disk.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, file{name, data})
	}
	return all, nil
}

// checkWritable recovers, compares, verifies, writes on, closes, and verifies
// what was closed without keys. It returns the state it left.
func (p *program) checkWritable(pic picture, rng *rand.Rand) (state, error) {
	s, ring, err := p.open(p.config.on(pic.disk))
	if errors.Is(err, syscall.ENOSPC) {
		p.saw("no space to recover")
		pic.disk.SetCapacity(0)
		pic.disk.SetFailOverwrite(false)
		s, ring, err = p.open(p.config.on(pic.disk))
	}
	if err != nil {
		return pic.states[0], p.absent(pic, err)
	}
	pic.disk.SetCapacity(0)
	pic.disk.SetFailOverwrite(false)
	left, err := p.matches(s, pic)
	if err == nil {
		err = verify(s, left, false)
	}
	if err == nil && rng.IntN(3) == 0 && len(left.blocks) > 0 {
		left, err = p.writeOn(s, left, rng)
	}
	if err = errors.Join(err, s.Close(), ring.Close()); err != nil {
		return left, err
	}
	pic.disk.SetHook(nil)
	if rng.IntN(4) != 0 {
		return left, nil
	}
	if err := untouched(pic.disk, func() error { return p.verifyClosed(pic.disk, left) }); err != nil {
		return left, fmt.Errorf("verify without keys: %w", err)
	}
	pic.states = []state{left}
	return left, p.checkReadOnly(pic)
}

// writeOn goes on with what was recovered.
func (p *program) writeOn(s *blockstore.Store, left state, rng *rand.Rand) (state, error) {
	left = left.clone()
	b := rng.IntN(len(left.blocks))
	return left, s.Update(p.write(&left, b, 1))
}

// verifyClosed verifies what was closed cleanly, without keys.
func (p *program) verifyClosed(disk *fsx.Mem, left state) error {
	r, err := blockstore.VerifyFile(context.Background(), volume, nil, p.config.on(disk), blockstore.VerifyOptions{Workers: 1})
	if err != nil {
		return err
	}
	if r.Unsettled > 0 {
		return fmt.Errorf("unsettled after a clean end")
	}
	if bad := uint64(len(left.bad())); r.Found+r.Lost != bad {
		return fmt.Errorf("%d blocks are damaged or lost, %d problems and %d losses were found: %w", bad, r.Found, r.Lost, r.Err())
	}
	return onlyAbout(r, left)
}

// absent accepts that there is no volume yet where its creation was not acknowledged.
func (p *program) absent(pic picture, err error) error {
	if !pic.made && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("open: %w", err)
}

func (p *program) open(o *blockstore.Options) (*blockstore.Store, *dek.Keyring, error) {
	ring, err := p.keys.ring()
	if err != nil {
		return nil, nil, err
	}
	s, err := blockstore.Open(volume, ring, o)
	if err != nil {
		return nil, nil, errors.Join(err, ring.Close())
	}
	return s, ring, nil
}

// matches finds the commit whose state the volume is in.
func (p *program) matches(s *blockstore.Store, pic picture) (state, error) {
	got, err := observe(s)
	if err != nil {
		return state{}, err
	}
	return got.match(pic.states)
}

// verify verifies an open volume that is in a state. Before recovery a copy of
// the label may be torn: that is reported, and the next read-write open mends it.
func verify(s *blockstore.Store, is state, torn bool) error {
	r, err := s.Verify(context.Background(), blockstore.VerifyOptions{Workers: 1})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if torn && r.Found > 0 && r.Problems[0].Kind == "label" {
		r.Found--
		r.Problems = r.Problems[1:]
	}
	return onlyAbout(r, is)
}

// onlyAbout returns the first problem of a report that is not of a block known to be damaged.
func onlyAbout(r *blockstore.Report, is state) error {
	bad := is.bad()
	for _, q := range r.Problems {
		if q.Kind != "block" || !slices.Contains(bad, q.Block) {
			return fmt.Errorf("verify found %s %d: %s", q.Kind, q.Block, q.Detail)
		}
	}
	if r.Lost > uint64(len(bad)) {
		return fmt.Errorf("verify found %d lost blocks, there are %d", r.Lost, len(bad))
	}
	return nil
}
