package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/control"
	"github.com/cofferdb/coffer/internal/fault"
)

// owner connects to the process that has a volume open and answers for it; nil
// where none does: then the volume is opened here.
func (p *program) owner(ctx context.Context, path string) (*control.Client, error) {
	c, err := control.Dial(ctx, path)
	if errors.Is(err, control.ErrNobody) {
		return nil, nil
	}
	if errors.Is(err, control.ErrStranger) { // it may be there to stand in the way, or to say that something was done
		p.warn("%s belongs to a user who is neither you nor root nor the owner of %s: it is not asked", control.Path(path), path)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := inspect(path)
	if err == nil && info.UUID != c.Owner.Volume {
		err = statef("%s is not the volume that the process behind %s has open", path, control.Path(path))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	p.note("%s is open in process %d, which is asked", path, c.Owner.PID)
	return c, nil
}

// ownerFor is owner for verbs that open a volume: what the flags demand of it is
// held against what the process says.
func (p *program) ownerFor(ctx context.Context, path string, v *volumeFlags) (*control.Client, error) {
	c, err := p.owner(ctx, path)
	if c == nil || err != nil {
		return nil, err
	}
	if v.anchor != "" {
		err = fault.Hint(statef("--expect-anchor is checked when a volume is opened, and %s is open already", path),
			"End the process that has it open, or give the anchor to that.")
	} else if info, infoErr := c.Info(ctx); infoErr != nil {
		err = infoErr
	} else {
		err = v.accepts(path, info)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// show turns progress from the other process into the meter's.
func (m *meter) show(g control.Progress) {
	m.pace(g.BytesPerSecond, g.Remaining)
	m.set(g.Stage, int64(g.Done), int64(g.Total), "blocks")
}

// ownedInfo asks the process that has the volume open, if there is one that answers.
func (p *program) ownedInfo(ctx context.Context, path string) *blockstore.Info {
	c, err := p.owner(ctx, path)
	if c == nil || err != nil { // what the files say can be had all the same
		return nil
	}
	defer c.Close()
	info, err := c.Info(ctx)
	if err != nil {
		return nil
	}
	return info
}

// ownedCensus counts keys in the process that has the volume open; nil where none answers.
func (p *program) ownedCensus(ctx context.Context, path string) (*blockstore.KeyCensus, error) {
	c, err := p.owner(ctx, path)
	if c == nil || err != nil {
		return nil, err
	}
	defer c.Close()
	return c.CountKeys(ctx)
}

// backupOwned has the process that has the volume open make a backup.
func (p *program) backupOwned(ctx context.Context, c *control.Client, path, dest, since string, v *volumeFlags, m *meter) (*blockstore.BackupInfo, error) {
	b := control.Backup{}
	var err error
	if b.Destination, err = filepath.Abs(dest); err != nil {
		return nil, err
	}
	if since != "" {
		if b.Base, err = filepath.Abs(since); err != nil {
			return nil, err
		}
	}
	info, err := c.Info(ctx)
	if err == nil && v.before != nil {
		err = v.before(info, nil)
	}
	if err != nil {
		return nil, err
	}
	return c.Backup(ctx, b, m.show)
}
