package blockstore

import (
	"context"
	"errors"
	"fmt"
)

// Close waits for transactions under way, stops a conversion where it is, and
// closes the volume. A read-write store ends with a checkpoint, marks the
// volume clean and removes the journal segments nobody needs: the volume file
// alone is then complete. After a failure nothing is written; the next open recovers.
func (s *Store) Close() error {
	if s.insideTx() {
		return ErrNested
	}
	s.backups.stop()
	s.stopConversion()
	if !s.gate.shut() {
		return ErrClosed
	}
	s.stop()
	s.done.Wait()
	s.stopConversion() // one that began while the gate was closing
	var err error
	if s.journal != nil {
		err = s.closeJournal()
	}
	s.ciphers.close()
	return errors.Join(err, s.spill.close(), s.file.Close())
}

func (s *Store) closeJournal() error {
	ctx := context.Background()
	if p := s.failure.Load(); p != nil {
		return errors.Join(fmt.Errorf("blockstore: closed after a failure, the next open recovers: %w", *p), ignore(s.journal.Close(ctx), *p))
	}
	if err := s.settleAll(ctx, checkpointRequest{clean: true}); err != nil {
		return errors.Join(err, ignore(s.journal.Close(ctx), err))
	}
	if err := s.journal.Close(ctx); err != nil {
		return fmt.Errorf("blockstore: close the journal: %w", err)
	}
	if err := s.journal.Remove(ctx); err != nil {
		return fmt.Errorf("blockstore: remove the journal: %w", err)
	}
	return nil
}

// ignore drops an error that only repeats its cause.
func ignore(err, cause error) error {
	if errors.Is(err, ErrOutcomeUnknown) && errors.Is(cause, ErrOutcomeUnknown) {
		return nil
	}
	return err
}
