package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Redo of a volume in the making, in bytes: little, so that it needs about its own size free.
const (
	makingRedo     = 16 << 20
	makingSegments = 4 << 20
)

// errSource: what is copied cannot be read.
type errSource struct{ error }

func (e errSource) Unwrap() error { return e.error }

// errHalf: what an interrupted run left cannot be read; it is begun anew.
var errHalf = errors.New("blockstore: the half-built volume cannot be read")

// copyout builds a new volume with what another one holds, block by block: same
// size, same places, holes stay holes.
type copyout struct {
	*making
	from     contentSource
	keys     *dek.Keyring
	want     CreateOptions
	blocks   uint64
	progress func(stage string, done, total uint64)
	begun    func() // called before each pass over the source; may be nil

	volume  UUID // of the new volume
	resumed bool
	src     []byte
	dst     []byte
}

// Stages of a copy, as progress is told.
const (
	stageCopy  = "copy"
	stageCheck = "check"
)

func (c *copyout) tell(stage string, done uint64) {
	if c.progress != nil {
		c.progress(stage, done, c.blocks)
	}
}

// build makes the new volume's file whole, durable and closed.
func (c *copyout) build(ctx context.Context) error {
	err := c.fill(ctx)
	if errors.Is(err, errHalf) {
		if err := c.discard(); err != nil {
			return err
		}
		err = c.fill(ctx)
	}
	return err
}

// fill copies everything. What an interrupted run left is read and compared,
// and only what differs is written: what is copied may have changed since.
func (c *copyout) fill(ctx context.Context) error {
	s, resumed, err := c.open(c.keys, c.want)
	if err != nil {
		return err
	}
	c.volume, c.resumed = s.volume, resumed
	if c.begun != nil {
		c.begun()
	}
	buf := readBatch * s.lay.blockSize
	c.src, c.dst = make([]byte, buf), make([]byte, buf)
	return errors.Join(c.copyAll(ctx, s, resumed), s.Close())
}

func (c *copyout) copyAll(ctx context.Context, to *Store, mend bool) error {
	for b := uint64(0); b < c.blocks; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, images, err := c.from.stretch(b, c.blocks, c.src)
		if err != nil {
			return errSource{err}
		}
		if err := c.putStretch(to, mend, b, n, images); err != nil {
			return err
		}
		b += n
		c.tell(stageCopy, b)
	}
	return nil
}

// putStretch writes a stretch of n blocks from b on, in as many pieces as the new volume hands out.
func (c *copyout) putStretch(to *Store, mend bool, b, n uint64, images []bool) error {
	bs := uint64(to.lay.blockSize)
	for at := uint64(0); at < n; {
		p := copyPiece{first: b + at, n: n - at, dst: c.dst}
		if images != nil {
			p.images, p.src = images[at:], c.src[at*bs:]
		}
		if mend {
			var err error
			if p.n, p.have, err = (storeSource{to, latest}).stretch(b+at, b+n, c.dst); err != nil {
				return fmt.Errorf("%w: %w", errHalf, err)
			}
		}
		if p.images != nil || p.have != nil {
			if err := to.UpdateLazy(p.put); err != nil {
				return err
			}
		}
		at += p.n
	}
	return nil
}

// copyPiece is n blocks as they should be, and as they are.
type copyPiece struct {
	first, n     uint64
	images, have []bool // nil: all holes
	src, dst     []byte
}

// put writes what differs.
func (p *copyPiece) put(tx *Tx) error {
	bs := uint64(tx.BlockSize())
	for i := range p.n {
		is, was := p.images != nil && p.images[i], p.have != nil && p.have[i]
		switch {
		case is && !(was && bytes.Equal(p.src[i*bs:][:bs], p.dst[i*bs:][:bs])):
			if err := tx.Write(p.first+i, p.src[i*bs:][:bs]); err != nil {
				return err
			}
		case !is && was:
			if err := tx.Trim(p.first+i, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare reads the whole new volume back, opened anew, and compares it with
// what was copied.
func (c *copyout) compare(ctx context.Context) (err error) {
	o := c.want.Options
	o.ReadOnly, o.ExpectUUID = true, c.volume
	s, err := Open(c.beside, c.keys, &o)
	if err != nil {
		return fmt.Errorf("blockstore: read the new volume back: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.Size() != c.want.Size {
		return c.differs(0)
	}
	to := storeSource{s, latest}
	for b := uint64(0); b < c.blocks; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, images, err := c.from.stretch(b, c.blocks, c.src)
		if err != nil {
			return errSource{err}
		}
		n, have, err := to.stretch(b, b+n, c.dst)
		if err != nil {
			return fmt.Errorf("blockstore: read the new volume back: %w", err)
		}
		bs := uint64(s.lay.blockSize)
		for i := range n {
			is, was := images != nil && images[i], have != nil && have[i]
			if is != was || is && !bytes.Equal(c.src[i*bs:][:bs], c.dst[i*bs:][:bs]) {
				return c.differs(b + i)
			}
		}
		b += n
		c.tell(stageCheck, b)
	}
	return nil
}

func (c *copyout) differs(block uint64) error {
	return fault.Hint(fmt.Errorf("blockstore: read back, block %d of the new volume is not what was written: %w", block, fault.Damaged),
		"the disk that the new volume is on does not keep what it is given; use another one")
}
