package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/control"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
)

// rekeyOwned has the process that has the volume open re-key it. No key goes to
// it: it looks for the key in its own sources.
func (p *program) rekeyOwned(ctx context.Context, c *control.Client, path string, target rekeyTarget, o *rekeyFlags) error {
	info, err := c.Info(ctx)
	if err != nil {
		return err
	}
	t, err := target.against(path, info)
	if err == nil && o.leave {
		err = fault.Hint(statef("%s is open in another process, which opened it for writing: --leave-inactive has nothing to do there", path),
			"Leave it out.")
	}
	if err != nil {
		return err
	}
	if t.resumes {
		p.note("going on with the interrupted re-key of %s, to %s", path, t.key)
	}
	if t.key.IsZero() {
		if t.key, err = p.newKeyFor(ctx, c, info, t, o); err != nil {
			return err
		}
		if !o.work.json {
			if err := p.print("%s", t.key); err != nil {
				return err
			}
		}
	}
	r := control.Rekey{Key: t.key, Workers: o.work.workers, AcceptLoss: o.work.acceptLoss, Back: t.back, Purge: o.work.purge,
		BytesPerSecond: int64(o.work.rate), Share: float64(o.work.share) / 100}
	if t.suite != 0 {
		r.Suite = t.suite.String()
	}
	m := p.meter(o.work.style)
	done, err := c.Rekey(ctx, r, m.show)
	m.finish()
	if err != nil {
		return err
	}
	return p.rekeyedOwned(path, t, done, o)
}

// rekeyedOwned says what was done.
func (p *program) rekeyedOwned(path string, t rekeyTarget, done *control.Converted, o *rekeyFlags) error {
	if done.KeptSegments > 0 {
		p.warn("%s kept for roll-forward: the old key is still needed there", count(done.KeptSegments, "journal segment"))
	}
	if done.Lost > 0 {
		p.warn("%s could not be read and recorded as lost", count(done.Lost, "block"))
	}
	if !done.Complete {
		return leftBehind(done.Damaged)
	}
	switch {
	case done.Already:
		p.note("every block of %s is under %s already", path, t.key)
	default:
		p.note("%s: %s converted", path, count(done.Converted, "block"))
	}
	if done.Census != nil {
		p.purged(done.Census)
	}
	if !done.Old.IsZero() {
		p.note("key %s is still in its key file: older copies and backups of the volume need it", done.Old)
	}
	if o.work.json {
		return p.printWork(path, "rekeyed", done.Info, done.Result, done.Resumed)
	}
	return nil
}

// leftBehind is the error for blocks that a conversion elsewhere could not convert.
func leftBehind(damaged []uint64) error {
	const shown = 20
	var list []string
	for _, b := range damaged[:min(len(damaged), shown)] {
		list = append(list, fmt.Sprint(b))
	}
	if len(damaged) > shown {
		list = append(list, "…")
	}
	return fault.Hint(fmt.Errorf("blocks cannot be read and were left as before, from %s on: %w", strings.Join(list, ", "), fault.Damaged),
		"Restore them from a backup and run the command again, or give them up with --accept-loss; coffer verify lists all.")
}

// newKeyFor makes a key where the process that has the volume open will find it:
// in the first key file given here, which must be one that it reads.
func (p *program) newKeyFor(ctx context.Context, c *control.Client, info *blockstore.Info, t rekeyTarget, o *rekeyFlags) (id dek.ID, err error) {
	bits, err := newKeyBits(info, t.suite, o.bits)
	if err != nil {
		return id, err
	}
	from, err := p.keySources(&o.keys)
	if err != nil {
		return id, err
	}
	if len(from.files) == 0 {
		return id, usagef("--new-key needs a key file to put the key into")
	}
	path, err := realPath(from.files[0].file)
	if err != nil {
		return id, err
	}
	if !c.Owner.Reloads || c.Owner.KeyFiles != nil && !slices.Contains(c.Owner.KeyFiles, path) {
		return id, fault.Hint(statef("process %d, which has the volume open, does not read key file %s", c.Owner.PID, from.files[0].file),
			"It reads: "+strings.Join(append(c.Owner.KeyFiles[:len(c.Owner.KeyFiles):len(c.Owner.KeyFiles)], "no other key files"), ", ")+
				". A new key has to be in one of them, or end the process first.")
	}
	f, err := p.openKeyfile(ctx, from.files[0], nil)
	if err != nil {
		return id, err
	}
	defer f.Close()
	if id, err = f.AddKey(bits, ownedDescription(o.description, info)); err != nil {
		return id, aboutKeyfile(f.Path(), err)
	}
	p.remindOfBackup(f.Path())
	return id, nil
}

// realPath is an absolute path with its links followed.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	return real, errors.Join(missing("key file", path, err))
}

// ownedDescription says what a key was made for. Unlike [markedDescription] it names no session: within one the
// volume may come to a key and go again, so that no later run may take it for new.
func ownedDescription(text string, info *blockstore.Info) string {
	what := fmt.Sprintf("re-key of volume %v from %v, while in use", info.UUID, info.WriteKey)
	switch {
	case text == "":
		return what
	case len(text)+len(what)+3 > keyfile.MaxDescription:
		return text
	}
	return text + " (" + what + ")"
}
