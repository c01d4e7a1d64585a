package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// program is one random program on one volume.
type program struct {
	config config
	keys   keys
	rng    *rand.Rand
	counts *counts
	until  time.Time // no further steps after this
	seed   uint64
	replay replay
	done   int // steps

	disk   *fsx.Mem
	store  *blockstore.Store
	ring   *dek.Keyring
	conv   *blockstore.Converter
	accept bool          // conv accepts the loss of damaged blocks
	views  []*heldView   // open now
	next   atomic.Uint32 // ID of the last contents made
	trace  []string
	epochs int             // of the write key, at the last look
	rotten map[uint64]bool // blocks that were ever damaged
	chain  int             // backups that add to each other so far
	dying  bool            // every operation of the disk fails from some moment on
	doubt  bool            // a failure may have taken readers back to the durable head

	ledger ledger

	mu   sync.Mutex // guards made and err: the hook and the checker use them
	made bool
	err  error

	pictures chan picture
	checked  sync.WaitGroup

	hook *hook
}

// hook is what the disk's hook uses, under the disk's lock.
type hook struct {
	rng   *rand.Rand
	fault atomic.Pointer[armed] // nil where none is armed; set by the program
}

// outcome of a program.
type outcome struct {
	err    error
	config config
	trace  []string
	steps  int // done
}

// run runs the program of a seed to its end or to its first failure.
// One that has not come to its end by then ends early.
func run(seed uint64, n *counts, then time.Time) outcome {
	return runAgain(seed, replay{}, n, then)
}

func runConfig(seed uint64, c config, rng *rand.Rand, n *counts, then time.Time, r replay) outcome {
	p := &program{config: c, rng: rng, until: then, seed: seed, replay: r, counts: n, pictures: make(chan picture),
		hook: &hook{rng: rand.New(rand.NewPCG(seed, 1+r.luck<<32))}}
	var err error
	if p.keys, err = newKeys(); err != nil {
		return outcome{err: err}
	}
	defer p.keys.destroy()
	p.checked.Go(p.checker)
	if err = p.steps(); err != nil {
		p.abandon()
	}
	close(p.pictures)
	p.checked.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		err = p.err
	}
	return outcome{err, p.config, p.trace, p.done}
}

func (p *program) checker() {
	for pic := range p.pictures {
		p.counts.cuts.Add(1)
		if err := p.check(pic); err != nil {
			p.mu.Lock()
			p.err = errors.Join(p.err, fmt.Errorf("cut %s: %w", pic.where, err))
			p.mu.Unlock()
		}
	}
}

// failed reports whether the checker found something.
func (p *program) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// watch takes a picture before changes of the disk, and counts down to armed faults.
func (p *program) watch(disk *fsx.Mem) {
	p.disk = disk
	p.hook.fault.Store(nil)
	disk.SetHook(func(op fsx.Op) error {
		p.hook.fault.Load().see(op)
		if op.Kind == fsx.OpRead {
			return nil
		}
		if p.hook.rng.IntN(p.config.every) != 0 {
			return nil
		}
		p.mu.Lock()
		pic := picture{made: p.made, where: fmt.Sprintf("before %v of %s at %d", op.Kind, op.Name, op.Off)}
		failed := p.err != nil
		p.mu.Unlock()
		if failed {
			return nil
		}
		pic.states = p.ledger.possible()
		pic.disk, pic.seed = disk.CrashInHook(p.hook.rng), p.hook.rng.Uint64()
		p.pictures <- pic
		return nil
	})
}

func (p *program) steps() error {
	size := int64(p.config.blocks * p.config.blockSize)
	if p.rng.IntN(3) == 0 {
		size -= int64(p.rng.IntN(p.config.blockSize))
	}
	p.ledger.reset(newState(size, p.config.blockSize))
	p.watch(fsx.NewMem(p.rng.Uint64()))
	if err := p.create(); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for i := range p.config.steps {
		if p.failed() || time.Now().After(p.until) {
			break
		}
		if p.replay.steps != nil && !slices.Contains(p.replay.steps, i) {
			continue
		}
		p.rng = rand.New(rand.NewPCG(p.seed, uint64(i)+2)) // each step has its own, so that others can be left out
		p.done++
		if err := p.step(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(p.trace[max(0, len(p.trace)-3):], ", "), err)
		}
	}
	return p.finish()
}

func (p *program) create() (err error) {
	if p.ring, err = p.keys.ring(); err != nil {
		return err
	}
	o := blockstore.CreateOptions{Options: *p.config.on(p.disk), Size: p.ledger.head().size, BlockSize: p.config.blockSize,
		Suite: p.config.suite, Key: p.keys[0].ID()}
	p.store, err = blockstore.Create(volume, p.ring, o)
	if err == nil {
		p.mu.Lock()
		p.made = true
		p.mu.Unlock()
	}
	return err
}

// finish ends a conversion and closes.
func (p *program) finish() error {
	if err := p.releaseViews(); err != nil {
		return err
	}
	p.stopConversion()
	if err := p.acknowledged(p.store.Close); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return p.ring.Close()
}

// abandon ends what a failed program leaves, so that it neither goes on nor stays in memory.
func (p *program) abandon() {
	p.disk.SetHook(nil)
	p.disk.CutAfter(0)
	_ = p.releaseViews()
	if p.store != nil {
		_ = p.store.Close()
	}
	if p.ring != nil {
		_ = p.ring.Close()
	}
}

func (p *program) stopConversion() {
	if p.conv != nil {
		p.conv.Stop()
		p.conv = nil
	}
}

// acknowledged does what makes every commit so far durable.
func (p *program) acknowledged(do func() error) error {
	n := p.ledger.last()
	err := do()
	if err == nil {
		p.ledger.settle(n)
	}
	return err
}

func (p *program) checkpoint() error {
	return p.acknowledged(func() error { return p.store.Checkpoint(context.Background()) })
}

func (p *program) sync() error {
	return p.acknowledged(func() error { return p.store.Sync(context.Background()) })
}

// page makes new contents for a block.
func (p *program) page(id uint32, block uint64) []byte {
	b := make([]byte, p.config.blockSize)
	fill(b, id, block)
	return b
}

func (p *program) note(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

// saw counts a rare event, so that a campaign can say what it came across.
func (p *program) saw(event string) { p.counts.saw(event) }

// RunOne runs one program: all of it, or the steps numbered, with every n-th
// operation cut where every is not 0.
func RunOne(seed uint64, steps []int, every int) (cuts int64, config string, trace []string, err error) {
	var n counts
	o := runAgain(seed, replay{steps: steps, every: every}, &n, time.Now().Add(time.Hour))
	return n.cuts.Load(), o.config.String(), o.trace, o.err
}
