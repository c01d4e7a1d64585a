package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Begin starts a transaction that ends with [Tx.Commit], [Tx.CommitLazy] or
// [Tx.Rollback], for programs whose transactions are not the body of one
// function. It may pass from goroutine to goroutine, and is used by one at a time.
//
// Without write it is a snapshot: of the durable state, as in [Store.View], and of the lazy
// commits that have returned. Until it ends a checkpoint does not pass it. With
// write it takes the writer's place, and waits for it: Update, a second
// Begin(true) and a conversion wait until it ends. Close waits for all of them.
// It is the caller's not to begin, or to close, while he holds what that waits for.
func (s *Store) Begin(write bool) (*Tx, error) {
	if write && s.insideTx() {
		return nil, ErrNested
	}
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	tx, err := s.begun(write)
	if err != nil {
		s.gate.leave()
		return nil, err
	}
	tx.explicit = true
	return tx, nil
}

func (s *Store) begun(write bool) (*Tx, error) {
	if !write {
		s.pacing.Load().note()
		tx := &Tx{s: s, reader: s.acquireTold()}
		s.mu.RLock()
		defer s.mu.RUnlock()
		tx.snap, tx.size = tx.reader.seq, s.over.sizeAt(tx.reader.seq)
		return tx, nil
	}
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	return s.lockWriter(false)
}

// acquireTold registers a snapshot of the durable head and of the lazy commits
// whose callers were told that they are done.
func (s *Store) acquireTold() *snapshot {
	n := s.acquire()
	if s.failure.Load() != nil {
		return n // a failed sync takes readers back to what is durable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.seq = max(n.seq, s.lazy.Load())
	return n
}

// acknowledge notes that a lazy commit is about to return.
func (s *Store) acknowledge(seq uint64) {
	for old := s.lazy.Load(); seq > old; old = s.lazy.Load() {
		if s.lazy.CompareAndSwap(old, seq) {
			return
		}
	}
}

// Promote makes a snapshot of [Store.Begin] the write transaction, if nothing
// was committed since it was taken; re-seals of a conversion do not count.
// [ErrStale] leaves it the snapshot that it was. It waits for the writer's place.
func (tx *Tx) Promote() error {
	switch {
	case !tx.explicit || tx.finished:
		return fmt.Errorf("blockstore: promote: %w", errNotExplicit)
	case tx.state != nil:
		return nil
	}
	s := tx.s
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.writer.Lock()
	err := s.usable()
	s.mu.RLock()
	if err == nil && s.changed > tx.snap {
		err = ErrStale
	}
	s.mu.RUnlock()
	if err != nil {
		s.writer.Unlock()
		return err
	}
	s.release(tx.reader)
	tx.reader = nil
	tx.becomeWriter()
	return nil
}

var errNotExplicit = fmt.Errorf("the transaction has ended, or is not one of Begin: %w", fault.Usage)

// Commit makes what was written one atomic commit, durable when it returns nil,
// with everything the transaction has read. [ErrOutcomeUnknown] as in
// [Store.Update]; after any other error nothing was committed. The transaction has ended either way.
func (tx *Tx) Commit() error { return tx.commit(false) }

// CommitLazy is Commit without waiting for durability, see [Store.UpdateLazy].
func (tx *Tx) CommitLazy() error { return tx.commit(true) }

func (tx *Tx) commit(lazy bool) error {
	if !tx.explicit || tx.finished {
		return fmt.Errorf("blockstore: commit: %w", errNotExplicit)
	}
	if tx.state == nil {
		tx.Rollback()
		return nil
	}
	s := tx.s
	defer s.gate.leave()
	defer s.foreground()()
	frames, seq, err := tx.place()
	tx.unlockWriter()
	if err != nil {
		return err
	}
	if seq == 0 {
		if lazy {
			return nil
		}
		return s.await(s.appended.Load())
	}
	if err := s.deliver(frames, seq); err != nil {
		return err
	}
	if lazy {
		s.acknowledge(seq)
		return nil
	}
	return s.await(seq)
}

// Rollback ends a transaction of [Store.Begin] and undoes everything. On one
// that has ended it does nothing, so that it may be deferred.
func (tx *Tx) Rollback() {
	switch {
	case !tx.explicit || tx.finished:
		return
	case tx.state != nil:
		tx.unlockWriter()
	default:
		tx.finished = true
		tx.s.release(tx.reader)
	}
	tx.s.gate.leave()
}

// Sequence is that of the newest commit that a snapshot of [Store.Begin] sees, or a
// later one that changed nothing: two snapshots of one sequence are the same. A write transaction has none, 0.
func (tx *Tx) Sequence() uint64 {
	if tx.state != nil {
		return 0
	}
	return tx.snap
}

// Changed reports whether a write transaction has written anything.
func (tx *Tx) Changed() bool { return tx.state != nil && !tx.state.empty(tx.before) }
