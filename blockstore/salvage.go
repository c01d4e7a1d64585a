package blockstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// SalvageOptions of [Salvage].
type SalvageOptions struct {
	// Options count as for [Open]; ReadOnly always holds. With DiscardJournal the
	// journal is not looked at: for one whose key is gone for good.
	Options
	// AcceptStale takes blocks that authenticate under a record that nothing
	// proves: they were written to this place of this volume, but perhaps they
	// are older, or newer, than the state that is salvaged. Without it they read
	// as zeros.
	AcceptStale bool
	// WithoutKeys are keys that are gone for good: where one of them is not activated, or
	// is not the one the volume was written under, what is under it counts as lost. The key of the label's MAC, which is the
	// one new blocks are under, or that a conversion goes to, cannot be left out. For that of the journal there is DiscardJournal.
	WithoutKeys []dek.ID
	// Progress, where set, is told now and then how many of how many blocks were
	// copied (stage "copy") and read back (stage "check"), by several goroutines.
	Progress func(stage string, done, total uint64)
	// ReportFile, where set, is a file that gets the report as JSON, durable before the
	// new volume gets its name: whoever is killed before the report was read finds it there. It
	// must not exist, but for the one of an interrupted run; the caller removes it.
	ReportFile string
}

// Salvage takes what can be authenticated of a damaged volume into a new one at
// dest: the same block size, length and places, under the volume's write key and
// suite, with a UUID of its own. It works where [Open] refuses. What does not
// authenticate never reaches the new volume; what is lost reads as zeros there
// and is in the report, whose Err is nil only where nothing is.
//
// What counts as authentic (FORMAT.md, "Export and salvage"): a label under its MAC, one
// copy is enough; a block whose record is proven by the tree under that label;
// what the journal holds from the label's redo position on, up to the first
// frame that recovery would refuse. A block whose record cannot be proven,
// because its tag block or a tree block over it is damaged, or which is not the
// one its record is of, is tried with the records in both slots of its tag
// block: what opens is authentic, but perhaps not the newest; it is listed as
// unproven, and taken with AcceptStale only.
//
// The volume is opened read-only, nothing is written to it or its journal. The
// new volume is built as dest.coffer-new, verified, and then gets its name. A
// run that was ended goes on, or begins anew, when it is run again.
//
// Errors: [ErrDamaged] or [ErrTampered] where no copy of the label
// authenticates, then there is nothing to authenticate the rest by;
// [ErrNotActivated] and [ErrWrongKey], for the keys of all slots, but those of
// WithoutKeys, and of the journal; [ErrUnsupported] in FIPS mode, for a suite that it does not seal
// under; [ErrState] where dest exists; [ErrInUse]; those of reading the folder
// and of writing. Losses are no error, but see [SalvageReport.Err].
func Salvage(ctx context.Context, path string, keys *dek.Keyring, dest string, o SalvageOptions) (*SalvageReport, error) {
	opts, err := o.Options.withDefaults()
	if err != nil {
		return nil, err
	}
	opts.ReadOnly = true
	path, dest = fsx.Resolve(opts.FS, path), fsx.Resolve(opts.FS, dest)
	if err := fips.Start(opts.Logger); err != nil {
		return nil, fmt.Errorf("blockstore: salvage: %w", err)
	}
	file, err := openLocked(opts.FS, path, true)
	if err != nil {
		return nil, err
	}
	v := &salvage{path: path, file: file, keys: keys, opts: opts, stale: o.AcceptStale, without: o.WithoutKeys, progress: o.Progress, reportFile: o.ReportFile}
	err = v.run(ctx, dest)
	if err = errors.Join(err, v.close()); err != nil {
		return nil, err
	}
	return &v.report, nil
}

// salvage is one call of Salvage.
type salvage struct {
	path     string
	file     fsx.File
	keys     *dek.Keyring
	opts     Options
	stale    bool
	without  []dek.ID
	progress func(stage string, done, total uint64)

	reportFile string

	s      *Store // read-only, over the label that was chosen; never handed out
	label  *label
	report SalvageReport
}

var _ contentSource = (*salvage)(nil)

func (v *salvage) close() error {
	if v.s == nil {
		return v.file.Close()
	}
	return errors.Join(v.drop(v.s), v.file.Close())
}

func (v *salvage) run(ctx context.Context, dest string) error {
	if err := v.chooseLabel(); err != nil {
		return err
	}
	if err := v.replay(ctx); err != nil {
		return err
	}
	if err := v.reportFree(dest); err != nil {
		return err
	}
	m, err := beginMaking(v.opts.FS, dest, jobSalvage, v.label.volume)
	if err != nil {
		return err
	}
	defer m.release()
	w := v.label.clone()
	w.stepBack()
	size := v.s.over.sizeAt(latest)
	c := &copyout{making: m, from: v, keys: v.keys, blocks: v.s.lay.blocks(size), progress: v.progress,
		want: v.s.copyOptions(w.write().suite, size)}
	c.want.Key = w.write().key
	c.begun = func() { v.report.begin(v, size) }
	if err := c.build(ctx); err != nil {
		return salvageError(ctx, err)
	}
	if err := v.verify(ctx, c); err != nil {
		return salvageError(ctx, err)
	}
	v.report.New = c.volume
	if err := v.saveReport(); err != nil {
		return salvageError(ctx, err)
	}
	return c.promote()
}

func salvageError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("blockstore: salvage: %w", err)
}

// verify authenticates the whole new volume, opened anew.
func (v *salvage) verify(ctx context.Context, c *copyout) error {
	o := c.want.Options
	o.ExpectUUID = c.volume
	r, err := VerifyFile(ctx, c.beside, keyringOr(v.keys), &o, VerifyOptions{Progress: func(done, _ uint64) { c.tell(stageCheck, done) }})
	if err != nil {
		return fmt.Errorf("read the new volume back: %w", err)
	}
	v.report.count()
	if images := v.report.Taken; r.Checked != images && r.OK {
		return fmt.Errorf("read back, the new volume holds %d images, %d were written: %w", r.Checked, images, fault.Damaged)
	}
	return r.Err()
}

// keyringOr is keys, or an empty ring: a verification without one checks less.
func keyringOr(keys *dek.Keyring) *dek.Keyring {
	if keys == nil {
		return dek.NewKeyring()
	}
	return keys
}
