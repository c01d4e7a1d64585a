package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/cofferdb/coffer/blockstore"
)

// crowd lets several goroutines commit at once, with readers and checkpoints
// among them. The writer lock puts their commits in an order, which is that of
// the ledger, so that what is found must be exactly one of its states.
func (p *program) crowd() error {
	writers, each := 2+p.rng.IntN(3), 1+p.rng.IntN(5)
	p.note("crowd of %d, %d commits each", writers, each)
	errs := make([]error, writers+2)
	var wg sync.WaitGroup
	for w := range writers {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), 3))
		wg.Go(func() {
			for range each {
				if errs[w] = p.commit(rng, 1, rng.IntN(4) == 0); errs[w] != nil {
					return
				}
			}
		})
	}
	rounds := p.rng.IntN(4)
	wg.Go(func() {
		for range rounds {
			errs[writers] = errors.Join(errs[writers], p.glance())
		}
	})
	sync, rounds2 := p.rng.IntN(2) == 0, p.rng.IntN(3)
	wg.Go(func() {
		for range rounds2 {
			do := func() error { return p.store.Checkpoint(context.Background()) }
			if sync {
				do = func() error { return p.store.Sync(context.Background()) }
			}
			errs[writers+1] = errors.Join(errs[writers+1], p.acknowledged(do))
		}
	})
	wg.Wait()
	p.saw("crowds")
	return errors.Join(errs...)
}

// glance checks that a snapshot is of a commit that could be the durable head
// while it was taken, whatever else goes on.
func (p *program) glance() error {
	n := p.ledger.watch()
	defer p.ledger.unwatch()
	return p.store.View(func(tx *blockstore.Tx) error {
		possible := p.ledger.since(n)
		got, err := readAll(tx)
		if err == nil {
			_, err = got.match(possible)
		}
		if err != nil {
			return fmt.Errorf("view: %w", err)
		}
		return nil
	})
}
