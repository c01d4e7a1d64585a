package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// program is one random program on one volume.
type program struct {
	config config
	keys   keys
	rng    *rand.Rand
	cuts   *atomic.Int64
	every  int // a picture is taken before every every-th operation

	disk  *fsx.Mem
	store *blockstore.Store
	ring  *dek.Keyring
	conv  *blockstore.Converter
	next  uint32 // ID of the next contents
	trace []string
	lazy  bool // commits after the last acknowledged one were lazy

	mu     sync.Mutex // guards states, made and err: the hook reads them
	states []state    // possible now: the last acknowledged commit and those after it
	made   bool
	err    error

	pictures chan picture
	checked  sync.WaitGroup
	hookRng  *rand.Rand // the hook's own, under the disk's lock
	ops      int
}

// Result of a program.
type outcome struct {
	err    error
	config config
	trace  []string
}

// run runs the program of a seed to its end or to its first failure.
func run(seed uint64, cuts *atomic.Int64, every int) outcome {
	rng := rand.New(rand.NewPCG(seed, 0))
	p := &program{config: randomConfig(rng), rng: rng, cuts: cuts, every: every, next: 1, hookRng: rand.New(rand.NewPCG(seed, 1)),
		pictures: make(chan picture)}
	var err error
	if p.keys, err = newKeys(); err != nil {
		return outcome{err: err}
	}
	defer p.keys.destroy()
	p.checked.Go(p.checker)
	err = p.steps()
	close(p.pictures)
	p.checked.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		err = p.err
	}
	return outcome{err, p.config, p.trace}
}

func (p *program) checker() {
	for pic := range p.pictures {
		p.cuts.Add(1)
		if err := p.check(pic); err != nil {
			p.mu.Lock()
			p.err = errors.Join(p.err, fmt.Errorf("cut %s: %w", pic.where, err))
			p.mu.Unlock()
		}
	}
}

// watch takes a picture before every change of the disk.
func (p *program) watch(disk *fsx.Mem) {
	p.disk = disk
	disk.SetHook(func(op fsx.Op) error {
		if op.Kind == fsx.OpRead {
			return nil
		}
		if p.ops++; p.ops%p.every != 0 {
			return nil
		}
		p.mu.Lock()
		pic := picture{states: p.states, made: p.made, where: fmt.Sprintf("before %v of %s at %d", op.Kind, op.Name, op.Off)}
		failed := p.err != nil
		p.mu.Unlock()
		if failed {
			return nil
		}
		pic.disk, pic.seed = disk.CrashInHook(p.hookRng), p.hookRng.Uint64()
		p.pictures <- pic
		return nil
	})
}

func (p *program) steps() error {
	first := state{}
	first.resize(int64(p.config.blocks*p.config.blockSize), p.config.blockSize)
	p.states = []state{first}
	p.watch(fsx.NewMem(p.rng.Uint64()))
	if err := p.create(); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for range p.config.steps {
		p.mu.Lock()
		failed := p.err != nil
		p.mu.Unlock()
		if failed {
			break
		}
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
	o := blockstore.CreateOptions{Options: *p.config.on(p.disk), Size: p.states[0].size, BlockSize: p.config.blockSize,
		Suite: p.config.suite, Key: p.keys[0].ID()}
	p.store, err = blockstore.Create(path, p.ring, o)
	if err == nil {
		p.mu.Lock()
		p.made = true
		p.mu.Unlock()
	}
	return err
}

// finish waits for a conversion and closes.
func (p *program) finish() error {
	if p.conv != nil {
		p.conv.Stop()
	}
	if err := p.store.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	p.settle()
	return p.ring.Close()
}

// head is the newest state.
func (p *program) head() state { return p.states[len(p.states)-1] }

// begin makes a state possible before its commit is made.
func (p *program) begin(s state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = append(p.states[:len(p.states):len(p.states)], s)
}

// settle says that everything so far is acknowledged.
func (p *program) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.states = p.states[len(p.states)-1:]
	p.lazy = false
}

func (p *program) page(id uint32, block uint64) []byte {
	b := make([]byte, p.config.blockSize)
	fill(b, id, block)
	return b
}

func (p *program) note(format string, args ...any) {
	p.trace = append(p.trace, fmt.Sprintf(format, args...))
}

func (p *program) step() error {
	ctx := context.Background()
	switch n := p.rng.IntN(100); {
	case n < 50:
		return p.update()
	case n < 58:
		p.note("sync")
		return p.acknowledged(p.store.Sync(ctx))
	case n < 66:
		p.note("checkpoint")
		return p.acknowledged(p.store.Checkpoint(ctx))
	case n < 70:
		p.note("switch")
		return p.store.SwitchJournal(ctx)
	case n < 73:
		return p.journalKey()
	case n < 76:
		return p.view()
	case n < 88:
		return p.convert()
	case n < 92:
		return p.reopen()
	case n < 96:
		return p.die()
	default:
		return p.crash()
	}
}

func (p *program) acknowledged(err error) error {
	if err == nil {
		p.settle()
	}
	return err
}

// RunOne runs the program of one seed with a cut before every operation and
// returns how many cuts were checked, its configuration and its steps.
func RunOne(seed uint64) (cuts int64, config string, trace []string, err error) {
	var n atomic.Int64
	o := run(seed, &n, 1)
	return n.Load(), o.config.String(), o.trace, o.err
}
