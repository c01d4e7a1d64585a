package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// do does a request that was checked. A result may come with an error.
func (c *session) do(r *request) (any, error) {
	s := c.v.store
	switch r.Command {
	case cmdInfo:
		return orNil(s.Info())
	case cmdKeys:
		return orNil(s.CountKeys(c.ctx))
	case cmdAnchor:
		return s.Anchor(), nil
	case cmdVerify:
		report, err := s.Verify(c.ctx, blockstore.VerifyOptions{Workers: r.Workers, Progress: c.tell("verify")})
		if err != nil {
			return nil, err
		}
		return report, report.Err()
	case cmdBackup:
		return orNil(s.BackupTo(c.ctx, r.Backup.Destination, blockstore.BackupOptions{Base: r.Backup.Base, Progress: c.tell("back up")}))
	case cmdRekey:
		return c.rekey(r.Rekey)
	}
	return nil, ErrRequest
}

// orNil turns a typed nil into none.
func orNil[T any](v *T, err error) (any, error) {
	if v == nil {
		return nil, err
	}
	return v, err
}

// tell keeps the progress of a stage for who tells it.
func (c *session) tell(stage string) func(done, total uint64) {
	return func(done, total uint64) { c.progress.Store(&Progress{Stage: stage, Done: done, Total: total}) }
}

// rekey converts, puts the journal under the key too, and purges where that was asked for.
func (c *session) rekey(r *Rekey) (any, error) {
	s := c.v.store
	conversion, err := r.conversion()
	if err != nil {
		return nil, err
	}
	before, err := s.Info()
	if err != nil {
		return nil, err
	}
	if !before.Encrypted || before.Conversion != nil && before.Conversion.Operation != "rekey" {
		return nil, fault.Hint(fmt.Errorf("control: the volume is not encrypted, or being converted otherwise: %w", fault.State),
			"End the process that has it open; coffer encrypt and coffer decrypt go on from there.")
	}
	done := &Converted{Resumed: before.Conversion != nil, Old: oldKey(before, r.Key)}
	sameSuite := r.Suite == "" || r.Suite == before.Suite
	if done.Already = before.Conversion == nil && before.WriteKey == r.Key && sameSuite; done.Already {
		done.Complete = true
	} else if done.Result, err = c.convert(conversion); err != nil {
		return nil, err
	}
	if err := journalUnder(c.ctx, s, r.Key); err != nil {
		return nil, err
	}
	if r.Purge && done.Complete {
		if err := s.Purge(c.ctx); err != nil {
			return nil, err
		}
		if done.Census, err = s.CountKeys(c.ctx); err != nil {
			return nil, err
		}
	}
	done.Info, err = s.Info()
	return done, err
}

// convert converts to a key that may have to be activated first, until it is
// done or the client leaves.
func (c *session) convert(target blockstore.Conversion) (res blockstore.Result, err error) {
	if c.v.opts.Activate != nil {
		if err := c.v.opts.Activate(c.ctx, target.Key); err != nil {
			return res, err
		}
	}
	conv, err := c.v.store.Convert(context.WithoutCancel(c.ctx), target) // Stop ends it, not the context: that leaves it settled
	if errors.Is(err, fault.NotActivated) && c.v.opts.Activate == nil {
		err = fault.Hint(err, "The process that has the volume open has to activate the key first.")
	}
	if err != nil {
		return res, err
	}
	defer context.AfterFunc(c.ctx, conv.Stop)()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-conv.Done():
			running = false
		case <-tick.C:
		}
		p := conv.Progress()
		c.progress.Store(&Progress{"rekey", p.Done, p.Total, p.BytesPerSecond, p.Remaining})
	}
	res, err = conv.Wait()
	if c.ctx.Err() != nil && !res.Complete {
		return res, errors.Join(c.ctx.Err(), err)
	}
	return res, err
}

// journalUnder puts the journal under a key, too.
func journalUnder(ctx context.Context, s *blockstore.Store, key dek.ID) error {
	info, err := s.Info()
	if err != nil || info.JournalKey == key {
		return err
	}
	if err := s.SetJournalKey(ctx, key); err != nil {
		return fmt.Errorf("control: the journal's key: %w", err)
	}
	return nil
}

// oldKey is the key that a re-key goes away from, zero if none.
func oldKey(before *blockstore.Info, to dek.ID) dek.ID {
	old := before.WriteKey
	if c := before.Conversion; c != nil {
		if old = c.From; old == to { // turned around
			old = c.To
		}
	}
	if old == to {
		return dek.ID{}
	}
	return old
}
