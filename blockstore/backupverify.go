package blockstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/journal"
)

// VerifyBackup reads a whole backup and checks it; it writes nothing. Without
// keys (nil) it checks structure, checksums and hash, which say nothing of intent; with keys the MAC
// at the end, which vouches for all of it, every block against its record, and every
// journal frame. Of an incremental backup it checks what that one holds: verify its bases too.
// What is wrong is in the report; an error says that it could not be checked.
func VerifyBackup(ctx context.Context, path string, keys *dek.Keyring, o *Options, v VerifyOptions) (_ *Report, err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Report{OK: true, Problems: []Problem{}, WithKeys: keys != nil, Clean: true}
	b, err := openBackup(opts.FS, path)
	if err != nil {
		return r.orProblem(err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	r.Blocks = b.finish.blocks
	c := &backupCheck{r: r, b: b, opts: opts, v: v}
	if keys == nil {
		_, err = b.prove(ctx, c.keyless)
		return r.orProblem(err)
	}
	return r.orProblem(c.withKeys(ctx, keys))
}

// orProblem makes a problem of an error that says that what was read is not right.
func (r *Report) orProblem(err error) (*Report, error) {
	if !isBad(err) {
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	r.add(Problem{Kind: "backup", err: err})
	return r, nil
}

// backupCheck is a verification of a backup.
type backupCheck struct {
	r    *Report
	b    *backupFile
	opts Options
	v    VerifyOptions
	s    *Store // its keys; nil without
	l    *label
	feed *journal.Feed
}

func (c *backupCheck) progress() {
	if c.v.Progress != nil {
		c.v.Progress(c.r.Checked, c.r.Blocks)
	}
}

// keyless compares the blocks with the checksums in their records.
func (c *backupCheck) keyless(_ *backupScan, k backupKind, payload []byte) error {
	if k != backupGroup {
		return nil
	}
	defer c.progress()
	return c.group(payload, func(block uint64, rec *record, data []byte) error {
		if rec.kind != recordData || seal.Checksum(data) != rec.crc {
			return fmt.Errorf("checksum of the ciphertext is wrong: %w", fault.Damaged)
		}
		return nil
	})
}

// group calls check for every block that a group holds, and reports what it finds.
func (c *backupCheck) group(payload []byte, check func(block uint64, rec *record, data []byte) error) error {
	g, err := decodeGroup(payload, c.b.start.blockSize)
	if err != nil {
		return err
	}
	tag := &metaBlock{key: metaKey{0, g.number}, data: g.tag}
	if err := checkMetaHeader(tag.key, c.b.start.volume, g.tag); err != nil {
		return err
	}
	return g.each(c.b.start.blockSize, func(i int, data []byte) error {
		rec, err := tag.record(i)
		if err != nil {
			return err
		}
		c.r.Checked++
		block := g.number*perGroup + uint64(i)
		if err := check(block, &rec, data); err != nil {
			if !isBad(err) {
				return err
			}
			c.r.add(Problem{Kind: "block", Block: block, Blocks: 1, err: &BlockError{"verify", block, err}})
		}
		return nil
	})
}

// withKeys proves the backup, believes it, and opens every block and frame.
func (c *backupCheck) withKeys(ctx context.Context, keys *dek.Keyring) error {
	p, err := c.b.prove(ctx, nil)
	if err != nil {
		return err
	}
	if err := checkPolicy(p.l, &c.opts); err != nil {
		return err
	}
	c.s, c.l = new(Store), p.l
	c.s.init(c.b.path, nil, keys, c.opts, p.l)
	defer func() {
		c.s.stop()
		c.s.ciphers.close()
	}()
	if err := p.believe(c.s); err != nil {
		return err
	}
	h := c.b.start
	jo := journal.Options{Keys: keys, Volume: h.volume, Stream: h.stream, Holder: "verification of a backup"}
	c.feed = journal.NewFeed(jo, h.from, nil, nil, func(f journal.Frame) error {
		_, err := parseRedo(f.Payload, h.blockSize)
		return err
	})
	defer c.feed.Close()
	if err := c.b.read(ctx, c.authentic); err != nil {
		return err
	}
	if c.feed.End() != c.b.finish.end {
		return fmt.Errorf("blockstore: the backup's journal does not end where its end says: %w", fault.Tampered)
	}
	return nil
}

// authentic opens what a record holds.
func (c *backupCheck) authentic(_ *backupScan, k backupKind, payload []byte) error {
	switch k {
	case backupSegment:
		return c.feed.Segment(payload)
	case backupFrame:
		return c.feed.Frame(payload)
	case backupGroup:
	default:
		return nil
	}
	defer c.progress()
	out := make([]byte, c.b.start.blockSize)
	return c.group(payload, func(block uint64, rec *record, data []byte) error {
		if rec.kind != recordData {
			return fmt.Errorf("a block without a record: %w", fault.Tampered)
		}
		cipher, err := c.s.ciphers.get(c.l, rec.slot, rec.epoch)
		if err != nil {
			return err
		}
		one := []seal.Block{{Position: block, Src: data, Dst: out, Nonce: rec.nonce, Tag: rec.tag, CRC: rec.crc}}
		if err := cipher.Open(one); err != nil {
			return one[0].Err
		}
		return nil
	})
}
