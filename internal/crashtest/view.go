package crashtest

import (
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/blockstore"
)

// heldView is a snapshot that a goroutine of its own keeps open.
type heldView struct {
	ask  chan struct{} // read it again; closed to end it
	said chan error    // one answer for the beginning, one for each question, one for the end
}

// mostViews are open at once. More would only be more of the same.
const mostViews = 3

// openView opens a snapshot and checks that it is of a commit that it may be
// of. It stays open while the program goes on.
func (p *program) openView() error {
	if len(p.views) == mostViews {
		return p.releaseView(p.rng.IntN(len(p.views)))
	}
	p.note("open a view")
	v := &heldView{make(chan struct{}), make(chan error)}
	go v.run(p.store, p.ledger.possible())
	if err := <-v.said; err != nil {
		close(v.ask)
		<-v.said
		return fmt.Errorf("view: %w", err)
	}
	p.views = append(p.views, v)
	return nil
}

func (v *heldView) run(s *blockstore.Store, possible []state) {
	begun := false
	err := s.View(func(tx *blockstore.Tx) error {
		begun = true
		first, err := readAll(tx)
		if err == nil {
			_, err = first.match(possible)
		}
		v.said <- err
		for range v.ask {
			v.said <- again(tx, first)
		}
		return nil
	})
	if !begun {
		v.said <- err
		for range v.ask {
			v.said <- err
		}
	}
	v.said <- err
}

func again(tx *blockstore.Tx, first *found) error {
	f, err := readAll(tx)
	if err != nil {
		return err
	}
	if d := first.changed(f); d != "" {
		return fmt.Errorf("a snapshot changed: %s", d)
	}
	return nil
}

// checkViews reads some of the open snapshots again, and ends some.
func (p *program) checkViews() error {
	for i := len(p.views) - 1; i >= 0; i-- {
		switch p.rng.IntN(8) {
		case 0:
			if err := p.releaseView(i); err != nil {
				return err
			}
		case 1, 2, 3:
			if err := p.checkView(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) checkView(i int) error {
	v := p.views[i]
	v.ask <- struct{}{}
	if err := <-v.said; err != nil {
		return fmt.Errorf("view: %w", err)
	}
	return nil
}

func (p *program) releaseView(i int) error {
	p.note("release a view")
	v := p.views[i]
	p.views = slices.Delete(p.views, i, i+1)
	close(v.ask)
	if err := <-v.said; err != nil {
		return fmt.Errorf("view: %w", err)
	}
	return nil
}

// releaseViews reads all open snapshots a last time and ends them: what comes waits for them.
func (p *program) releaseViews() error {
	var first error
	for i := len(p.views) - 1; i >= 0; i-- {
		err := p.checkView(i)
		if err2 := p.releaseView(i); err == nil {
			err = err2
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// view keeps a snapshot open over changes and checkpoints, so many that with a
// small cap on the redo what it needs is saved and overwritten.
func (p *program) view(rounds int) error {
	if err := p.openView(); err != nil || len(p.views) == 0 {
		return err
	}
	for range rounds {
		for range 1 + p.rng.IntN(3) {
			if err := p.meanwhile(); err != nil {
				return err
			}
		}
		before := p.disk.Ops()
		if err := p.checkpoint(); err != nil {
			return err
		}
		if p.disk.Ops() > before+4 {
			p.saw("checkpoints under a snapshot")
		}
		if err := p.checkView(len(p.views) - 1); err != nil {
			return err
		}
	}
	return p.releaseView(len(p.views) - 1)
}
