package crashtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// convert starts, resumes, pauses or stops a conversion.
func (p *program) convert() error {
	if p.conv != nil {
		return p.drive()
	}
	info, err := p.store.Info()
	if err != nil {
		return err
	}
	p.accept = len(p.ledger.head().bad()) > 0 && p.rng.IntN(3) > 0
	ctx := context.Background()
	switch {
	case info.Conversion != nil && p.accept:
		c := blockstore.Conversion{Key: info.Conversion.To, AcceptLoss: true}
		if c.Suite, err = blockstore.ParseSuite(info.Conversion.ToSuite); err != nil {
			return err
		}
		p.note("go on with %s, accepting losses", info.Conversion.Operation)
		p.conv, err = p.store.Convert(ctx, c)
		return err
	case info.Conversion != nil && p.rng.IntN(4) == 0:
		c := blockstore.Conversion{Key: info.Conversion.From, Back: true}
		if c.Suite, err = blockstore.ParseSuite(info.Conversion.FromSuite); err != nil {
			return err
		}
		p.note("turn %s around", info.Conversion.Operation)
		p.saw("conversions turned around")
		p.conv, err = p.store.Convert(ctx, c)
		return err
	case info.Conversion != nil:
		p.note("resume %s", info.Conversion.Operation)
		p.conv, err = p.store.ResumeConversion(ctx)
		return err
	}
	suites := allowed(blockstore.AESGCM, blockstore.AESCBC, blockstore.AESXTS, blockstore.None)
	c := blockstore.Conversion{Suite: suites[p.rng.IntN(len(suites))],
		Key: p.keys[p.rng.IntN(keyCount)].ID(), Workers: 1 + p.rng.IntN(2), AcceptLoss: p.accept, Purge: p.rng.IntN(4) == 0}
	p.note("convert to %v, accepting losses=%v", c.Suite, p.accept)
	p.conv, err = p.store.Convert(ctx, c)
	if errors.Is(err, fault.State) && info.Suite == c.Suite.String() && (c.Suite == blockstore.None || info.WriteKey == c.Key) {
		p.conv, err = nil, nil // it is under that key and suite already
	}
	if errors.Is(err, fault.State) && info.Suite == blockstore.None.String() && len(p.views) > 0 {
		p.conv, err = nil, nil // a snapshot from before the decryption holds the journal
	}
	return err
}

// drive does something to the conversion that runs.
func (p *program) drive() error {
	switch p.rng.IntN(4) {
	case 0:
		p.note("stop conversion")
		p.conv.Stop()
	case 1:
		p.note("pause conversion")
		p.conv.Pause()
		if err := p.meanwhile(); err != nil {
			return err
		}
		p.conv.Resume()
		return nil
	default:
		p.note("wait for conversion")
	}
	err := p.waitConversion()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// waitConversion waits for the conversion's end and judges it. Snapshots are
// released first, since they hold back the checkpoints that it needs.
func (p *program) waitConversion() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	r, err := p.conv.Wait()
	p.conv = nil
	if err != nil {
		return err
	}
	for _, b := range r.Damaged {
		if p.dying {
			return nil // a dead process reads nothing, which is no damage either
		}
		if !p.rotten[b] {
			return fmt.Errorf("a conversion calls block %d damaged, which is not: %+v", b, r)
		}
	}
	if r.Lost > 0 && !p.accept {
		return fmt.Errorf("a conversion gave blocks up that it was not told to: %+v", r)
	}
	if !r.Complete {
		if len(r.Damaged) == 0 || p.accept {
			return fmt.Errorf("a conversion ended incomplete: %+v", r)
		}
		p.saw("conversions incomplete for damage")
		return nil
	}
	p.saw("conversions complete")
	if r.Lost == 0 {
		return nil
	}
	p.saw("conversions complete with losses")
	return p.checkLost(r.Damaged)
}

// checkLost checks that blocks that a complete conversion gave up are losses on
// record, which need no key and are no damage any more, or were written since.
func (p *program) checkLost(given []uint64) error {
	if err := p.sync(); err != nil {
		return err
	}
	head := p.ledger.head()
	err := p.store.View(func(tx *blockstore.Tx) error {
		for _, b := range given {
			if b >= uint64(len(head.blocks)) || !head.blocks[b].isBad() {
				continue
			}
			if _, err := tx.Read(b); !errors.Is(err, blockstore.ErrLost) {
				return fmt.Errorf("block %d was given up by a complete conversion, and is not recorded as lost: %v", b, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r, err := p.store.Verify(context.Background(), blockstore.VerifyOptions{Workers: 1})
	if err != nil {
		return err
	}
	for _, q := range r.Problems {
		if slices.Contains(given, q.Block) {
			return fmt.Errorf("after a complete conversion: %s", q.Detail)
		}
	}
	return onlyAbout(r, head)
}

// damage lets a block of the closed volume rot.
func (p *program) damage() error {
	head := p.ledger.head()
	var candidates []int
	for b, c := range head.blocks {
		if c != nil && !c.bad {
			candidates = append(candidates, b)
		}
	}
	if len(candidates) == 0 || len(head.bad()) > 2 {
		return p.update()
	}
	b := candidates[p.rng.IntN(len(candidates))]
	p.note("damage block %d", b)
	if err := p.close(); err != nil {
		return err
	}
	raw, err := p.disk.ReadFile(volume)
	if err != nil {
		return err
	}
	raw[p.config.place(b)+int64(p.rng.IntN(p.config.blockSize))] ^= 1 << p.rng.IntN(8)
	if err := p.disk.WriteFile(volume, raw); err != nil {
		return err
	}
	after := p.ledger.head().clone()
	after.blocks[b] = badContent
	p.ledger.reset(after)
	if p.rotten == nil {
		p.rotten = make(map[uint64]bool)
	}
	p.rotten[uint64(b)] = true
	p.saw("damaged blocks")
	if err := p.openAgain(); err != nil {
		return err
	}
	if err := p.glance(); err != nil || p.rng.IntN(2) == 0 {
		return err
	}
	return p.convertOver(b)
}

// convertOver converts while a damaged block may be written anew, which must win.
func (p *program) convertOver(b int) error {
	if err := p.convert(); err != nil || p.conv == nil {
		return err
	}
	if p.rng.IntN(2) == 0 {
		p.note("write block %d", b)
		n := int64(-1)
		err := p.store.Update(func(tx *blockstore.Tx) error {
			want := p.ledger.head().clone()
			write := p.write(&want, b, 1)
			n = p.ledger.begin(want)
			return write(tx)
		})
		if err := p.committed(n, false, err); err != nil {
			return err
		}
	}
	return p.waitConversion()
}

// place returns the offset of a block in the volume file, FORMAT.md "Positions":
// after the labels, groups of 168 blocks, each behind its pair of tag blocks;
// the first group has the pairs of four tree blocks before it.
func (c config) place(block int) int64 {
	const labels, pair, group, above = 128 << 10, 16 << 10, 168, 4
	g := block / group
	return labels + int64(block)*int64(c.blockSize) + int64(above+g+1)*pair
}
