package blockstore

import (
	"crypto/rand"
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
)

// newEpoch draws the salt of an epoch. Suite none has no subkeys and no salt.
func newEpoch(suite Suite, number uint32, reserve uint64) epoch {
	e := epoch{number: number, reserved: reserve}
	if suite != seal.SuiteNone {
		rand.Read(e.salt[:])
	}
	return e
}

// ensureSeals makes sure that n seals under the write slot's current epoch are
// reserved in the durable label; ckptMu is held. The count of a process that
// died is taken as used up to its reservation.
func (s *Store) ensureSeals(n int) error {
	l := s.label.Load()
	if s.sealsUsed+uint64(n) <= l.write().current().reserved {
		s.sealsUsed += uint64(n)
		return nil
	}
	next := l.clone()
	if err := s.reserveSeals(next, uint64(n)); err != nil {
		return err
	}
	if err := s.writeLabel(next); err != nil {
		return err
	}
	s.sealsUsed += uint64(n)
	return nil
}

// reserveSeals changes next so that n more seals are covered, in a new epoch
// where the budget of the current one does not suffice.
func (s *Store) reserveSeals(next *label, n uint64) error {
	ks := next.write()
	e := ks.current()
	if ks.suite == seal.SuiteNone { // no nonces, no budget
		e.reserved = s.sealsUsed + n
		return nil
	}
	reserve := s.opts.Tune.SealReserve
	if !s.reserved { // little at first: a process that dies soon leaves little unused
		reserve /= 64
	}
	s.reserved = true
	want := s.sealsUsed + n + reserve
	if want <= s.opts.Tune.SealBudget || s.sealsUsed == 0 {
		e.reserved = max(e.reserved, want)
		return nil
	}
	if len(ks.epochs) == maxEpochs {
		return s.overdraw(e, want)
	}
	ks.epochs = append(ks.epochs, newEpoch(ks.suite, e.number+1, n+reserve))
	s.sealsUsed = 0
	s.opts.Logger.Info("coffer: a new epoch begins", "volume", s.volume.String(), "epoch", e.number+1)
	return nil
}

// overdrawFactor is how far beyond its budget the last epoch that fits the
// label may go while older ones are re-sealed: 16 times 2^28 is the 2^32 of
// SP 800-38D, section 8.3.
const overdrawFactor = 16

func (s *Store) overdraw(e *epoch, want uint64) error {
	if want > overdrawFactor*s.opts.Tune.SealBudget {
		return fault.Hint(fmt.Errorf("all %d epochs of the write key are used up: %w", maxEpochs, fault.State),
			"re-key the volume to a new key")
	}
	s.opts.Logger.Warn("coffer: the write key's last epoch goes beyond its budget, re-key soon", "volume", s.volume.String())
	e.reserved = want
	return nil
}

// topUp renews the reservation while the label is written anyway.
func (s *Store) topUp(next *label) {
	if next.write().suite == seal.SuiteNone || !s.reserved {
		return
	}
	e := next.write().current()
	if want := s.sealsUsed + s.opts.Tune.SealReserve; e.reserved < s.sealsUsed+s.opts.Tune.SealReserve/2 && want <= s.opts.Tune.SealBudget {
		e.reserved = want
	}
}
