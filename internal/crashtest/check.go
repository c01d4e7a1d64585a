package crashtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// picture is a disk after a power cut, and what must be found on it: the model
// after one of the commits in states, of which the first was acknowledged.
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
	pic.disk.SetCapacity(0) // whoever recovers has made space
	pic.disk.SetFailOverwrite(false)
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
	if err != nil {
		return err
	}
	if again == nil {
		return nil
	}
	p.cuts.Add(1)
	pic.states = append(pic.states[:len(pic.states):len(pic.states)], written)
	pic.disk, pic.seed = again, rng.Uint64()
	if _, err := p.checkWritable(pic, rng); err != nil {
		return fmt.Errorf("cut again during recovery: %w", err)
	}
	return nil
}

func (p *program) checkReadOnly(pic picture) error {
	before := pic.disk.Ops()
	o := p.config.on(pic.disk)
	o.ReadOnly = true
	s, ring, err := p.open(o)
	if err != nil {
		return p.absent(pic, err)
	}
	if _, err := p.matches(s, pic); err != nil {
		return errors.Join(err, s.Close())
	}
	if err := errors.Join(verify(s, true), s.Close(), ring.Close()); err != nil {
		return err
	}
	if n := pic.disk.Ops() - before; n > 1 { // the spill file of a large replay has no name
		for _, name := range pic.disk.Files() {
			if name == "" {
				return fmt.Errorf("a read-only open changed the disk")
			}
		}
	}
	return nil
}

// checkWritable recovers, compares, verifies, writes on, closes, and verifies
// what was closed without keys. It returns the state it left.
func (p *program) checkWritable(pic picture, rng *rand.Rand) (state, error) {
	s, ring, err := p.open(p.config.on(pic.disk))
	if err != nil {
		return pic.states[0], p.absent(pic, err)
	}
	found, err := p.matches(s, pic)
	if err == nil {
		err = verify(s, false)
	}
	if err == nil && rng.IntN(3) == 0 && len(found.ids) > 0 {
		b := rng.IntN(len(found.ids))
		found = found.clone()
		found.ids[b] = 1 << 30
		err = s.Update(func(tx *blockstore.Tx) error { return tx.Write(uint64(b), p.page(1<<30, uint64(b))) })
	}
	if err = errors.Join(err, s.Close(), ring.Close()); err != nil {
		return found, err
	}
	pic.disk.SetHook(nil)
	if rng.IntN(4) != 0 {
		return found, nil
	}
	r, err := blockstore.VerifyFile(context.Background(), path, nil, p.config.on(pic.disk), blockstore.VerifyOptions{Workers: 1})
	if err == nil {
		err = r.Err()
	}
	if err == nil && r.Unsettled > 0 {
		err = fmt.Errorf("unsettled after a clean end")
	}
	if err != nil {
		return found, fmt.Errorf("verify without keys: %w", err)
	}
	pic.states = []state{found}
	return found, p.checkReadOnly(pic)
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
	s, err := blockstore.Open(path, ring, o)
	if err != nil {
		return nil, nil, errors.Join(err, ring.Close())
	}
	return s, ring, nil
}

// matches finds the commit whose state the volume is in.
func (p *program) matches(s *blockstore.Store, pic picture) (state, error) {
	got, err := observe(s)
	if err != nil {
		return got, fmt.Errorf("read: %w", err)
	}
	for _, want := range pic.states {
		if got.equal(want) {
			return got, nil
		}
	}
	last := pic.states[len(pic.states)-1]
	return got, fmt.Errorf("lost or torn: the volume is in none of %d possible states; against the first: %s; against the last: %s",
		len(pic.states), difference(got, pic.states[0]), difference(got, last))
}

// verify verifies an open volume. Before recovery a copy of the label may be
// torn: that is reported, and the next read-write open mends it.
func verify(s *blockstore.Store, torn bool) error {
	r, err := s.Verify(context.Background(), blockstore.VerifyOptions{Workers: 1})
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if torn && r.Found == 1 && r.Problems[0].Kind == "label" {
		return nil
	}
	return r.Err()
}
