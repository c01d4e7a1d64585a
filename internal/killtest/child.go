package killtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
)

// Lines of a child: "found N", "begin N", "durable N", or "failed TEXT".

// Child works on the volume at path until it is killed, and tells out what it does.
func Child(path string, seed uint64, out io.Writer) error {
	c := &child{seed: seed, out: bufio.NewWriter(out), rng: rand.New(rand.NewPCG(rand.Uint64(), 0)), path: path}
	if err := c.run(); err != nil {
		c.say("failed %v", err)
		return err
	}
	return nil
}

type child struct {
	seed uint64
	path string
	rng  *rand.Rand

	mu  sync.Mutex // guards out
	out *bufio.Writer

	s    *blockstore.Store
	ids  []dek.ID
	conv *blockstore.Converter
	now  state
}

func (c *child) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
	_ = c.out.Flush() // a parent that is gone kills this process too
}

func (c *child) run() error {
	if err := c.open(); err != nil {
		return err
	}
	if err := c.compare(); err != nil {
		return err
	}
	r, err := c.s.Verify(context.Background(), blockstore.VerifyOptions{})
	if err != nil {
		return err
	}
	if r.Err() != nil {
		return r.Err()
	}
	c.say("found %d", c.now.n)
	for {
		if err := c.step(); err != nil {
			return err
		}
	}
}

// open opens the volume, or makes it where there is none yet.
func (c *child) open() error {
	keys, ids, err := ring(c.seed)
	if err != nil {
		return err
	}
	c.ids = ids
	o := blockstore.Options{CheckpointBytes: 256 << 10 << c.rng.IntN(4), CacheBytes: 1 << 20, SegmentBytes: 128 << 10, AllowPlain: true,
		RetainSegments: []int{0, 0, 2}[c.rng.IntN(3)]}
	c.s, err = blockstore.Open(c.path, keys, &o)
	if errors.Is(err, fs.ErrNotExist) {
		c.s, err = blockstore.Create(c.path, keys, blockstore.CreateOptions{Options: o, Size: blocks * blockSize, BlockSize: blockSize, Key: ids[0]})
	}
	return err
}

// compare reads everything and finds the state that it is.
func (c *child) compare() error {
	return c.s.View(func(tx *blockstore.Tx) error {
		first, err := tx.Read(0)
		if err != nil {
			return err
		}
		c.now.advance(c.seed, binary.LittleEndian.Uint64(first))
		want := make([]byte, blockSize)
		for b := range uint64(blocks) {
			got, err := tx.Read(b)
			if err != nil {
				return err
			}
			page(want, c.seed, c.now.last[b], b)
			if !bytes.Equal(got, want) {
				return fmt.Errorf("block %d is not what commit %d left, at commit %d: it begins with %d",
					b, c.now.last[b], c.now.n, binary.LittleEndian.Uint64(got))
			}
		}
		return nil
	})
}

func (c *child) step() error {
	ctx := context.Background()
	switch n := c.rng.IntN(200); {
	case n < 2:
		return c.s.Checkpoint(ctx)
	case n < 4:
		return c.s.SwitchJournal(ctx)
	case n < 7:
		return c.convert(ctx)
	default:
		return c.commit()
	}
}

func (c *child) commit() error {
	n := c.now.n + 1
	c.say("begin %d", n)
	err := c.s.Update(func(tx *blockstore.Tx) error {
		p := make([]byte, blockSize)
		for _, b := range append(commit(c.seed, n), 0) {
			page(p, c.seed, n, b)
			if err := tx.Write(b, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.now.advance(c.seed, n)
	c.say("durable %d", n)
	return nil
}

// convert goes on with what was interrupted, turns it around, or begins another; at times it waits for the end.
func (c *child) convert(ctx context.Context) error {
	if c.conv != nil {
		select {
		case <-c.conv.Done():
		default:
			return nil
		}
		if _, err := c.conv.Wait(); err != nil {
			return err
		}
		c.conv = nil
	}
	info, err := c.s.Info()
	if err != nil {
		return err
	}
	target := blockstore.Conversion{Key: c.ids[c.rng.IntN(keyCount)], Workers: 1 + c.rng.IntN(2)}
	switch r := info.Conversion; {
	case r != nil && c.rng.IntN(3) == 0:
		target.Key, target.Back = r.From, true
		if target.Suite, err = blockstore.ParseSuite(r.FromSuite); err != nil {
			return err
		}
	case r != nil:
		c.conv, err = c.s.ResumeConversion(ctx)
		return err
	case c.rng.IntN(2) == 0:
		target.Suite = []blockstore.Suite{blockstore.AESGCM, blockstore.AESCBC, blockstore.AESXTS, blockstore.None}[c.rng.IntN(4)]
	case info.Suite == blockstore.None.String():
		return nil
	}
	c.conv, err = c.s.Convert(ctx, target)
	if errors.Is(err, blockstore.ErrState) {
		return nil // it is under that already, or one that re-seals old epochs runs
	}
	if err == nil && c.rng.IntN(4) == 0 {
		_, err = c.conv.Wait()
		c.conv = nil
	}
	return err
}

// Main is the child's main function, for who runs it in a process of its own.
func Main(path string, seed uint64) {
	if err := Child(path, seed, os.Stdout); err != nil {
		os.Exit(1)
	}
}
