package crashtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
)

const (
	volume   = "vol"
	keyCount = 3
)

// config is how a program's volume is made and opened, and what the program does.
type config struct {
	suite     blockstore.Suite
	blockSize int
	blocks    int
	options   blockstore.Options
	steps     int
	every     int // one in so many operations of the disk is cut before, on average

	crowds  bool // several writers at once
	trouble bool // failing operations, full disks
	damage  bool // blocks that rot
	readers bool // many snapshots that stay open
	epochs  bool // so few seals to an epoch that old ones are re-sealed in the background
}

// allowed leaves out the suites that FIPS mode does not seal under.
func allowed(suites ...blockstore.Suite) []blockstore.Suite {
	return slices.DeleteFunc(suites, func(s blockstore.Suite) bool { return s.Allowed(true) != nil })
}

func randomConfig(rng *rand.Rand) config {
	suites := allowed(blockstore.AESGCM, blockstore.AESGCM, blockstore.AESCBC, blockstore.AESXTS, blockstore.None)
	sizes := []int{1, 3, 10, 40, 180, 350} // a group holds 168
	c := config{suite: suites[rng.IntN(len(suites))], blockSize: 4096, blocks: sizes[rng.IntN(len(sizes))], steps: 10 + rng.IntN(30),
		crowds: rng.IntN(3) == 0, trouble: rng.IntN(3) == 0, damage: rng.IntN(6) == 0, readers: rng.IntN(3) == 0, epochs: rng.IntN(6) == 0}
	if rng.IntN(8) == 0 {
		c.blockSize, c.blocks = 8192, min(c.blocks, 40)
	}
	c.options = blockstore.Options{
		AllowPlain:      true,
		CacheBytes:      int64(1+rng.IntN(64)) * int64(c.blockSize) * 16,
		CheckpointBytes: int64(8<<10) << rng.IntN(7),
		SegmentBytes:    64 << 10,
		RetainSegments:  []int{0, 0, 0, 2, -1}[rng.IntN(5)],
		Workers:         1 + rng.IntN(2),
		Tune: tune.Store{Inline: rng.IntN(2) == 0, SealBudget: uint64(max(64, 4*c.blocks)) << rng.IntN(4), SealReserve: 16,
			TxMemory: int64(32<<10) << rng.IntN(6)},
	}
	// Some programs are cut before every operation; others are long, and cut here and there.
	if c.every = []int{1, 6, 30}[rng.IntN(3)]; c.every > 1 {
		c.steps *= 4
	}
	if c.epochs {
		c.blocks = min(c.blocks, 40)
		c.options.Tune.Inline, c.options.Tune.SealBudget = false, uint64(2*c.blocks+32)
		c.options.CheckpointBytes = min(c.options.CheckpointBytes, 32<<10)
	}
	return c
}

func (c config) String() string {
	o := c.options
	return fmt.Sprintf("every=%d suite=%v block=%d blocks=%d cache=%d checkpoint=%d retain=%d workers=%d inline=%v budget=%d txmemory=%d"+
		" crowds=%v trouble=%v damage=%v readers=%v epochs=%v",
		c.every, c.suite, c.blockSize, c.blocks, o.CacheBytes, o.CheckpointBytes, o.RetainSegments, o.Workers, o.Tune.Inline, o.Tune.SealBudget, o.Tune.TxMemory,
		c.crowds, c.trouble, c.damage, c.readers, c.epochs)
}

func (c config) on(fs fsx.FS) *blockstore.Options {
	o := c.options
	o.FS = fs
	return &o
}

// keys are a program's keys, from which each open gets a keyring of its own.
type keys []*dek.Key

func newKeys() (keys, error) {
	var ks keys
	for i := range keyCount {
		k, err := dek.Generate([]int{256, 128, 256}[i])
		if err != nil {
			return nil, err
		}
		ks = append(ks, k)
	}
	return ks, nil
}

func (ks keys) ring() (*dek.Keyring, error) {
	r := dek.NewKeyring()
	for _, k := range ks {
		if err := r.Activate(k, dek.Database, dek.Active); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (ks keys) destroy() {
	for _, k := range ks {
		k.Destroy()
	}
}
