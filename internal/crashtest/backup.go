package crashtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// maxChain is how many backups add to each other at most.
const maxChain = 4

// backup backs the volume up while it is used, restores the backup elsewhere,
// and compares with the states that the volume went through meanwhile. Some
// backups add to the one before, over whatever happened between them.
func (p *program) backup() error {
	if len(p.ledger.head().bad()) > 0 {
		return p.update() // a damaged volume is not backed up
	}
	from := p.ledger.watch()
	defer p.ledger.unwatch()
	o := blockstore.BackupOptions{}
	if p.chain > 0 && p.chain < maxChain && p.rng.IntN(3) > 0 {
		o.Base = p.backupName(p.chain - 1)
	} else {
		p.chain = 0
	}
	p.note("backup on %q", o.Base)
	w := &busyWriter{p: p}
	_, err := p.store.Backup(context.Background(), w, o)
	if o.Base != "" && errors.Is(err, fault.State) { // the history between them is too long, or was cut
		p.saw("bases refused")
		w, o.Base, p.chain = &busyWriter{p: p}, "", 0
		_, err = p.store.Backup(context.Background(), w, o)
	}
	if err = errors.Join(w.err, err); err != nil {
		return err
	}
	if err := p.disk.WriteFile(p.backupName(p.chain), w.buf.Bytes()); err != nil {
		return err
	}
	p.chain++
	p.saw(map[bool]string{true: "incremental backups", false: "full backups"}[o.Base != ""])
	if err := p.restored(p.backupName(p.chain-1), p.ledger.since(from)); err != nil {
		return fmt.Errorf("backup %d of a chain: %w", p.chain-1, err)
	}
	return nil
}

func (p *program) backupName(n int) string { return fmt.Sprintf("backup-%d", n) }

// restored restores a backup on a copy of the disk and compares.
func (p *program) restored(name string, states []state) error {
	disk := p.disk.Clone()
	disk.SetCapacity(0)
	ring, err := p.keys.ring()
	if err != nil {
		return err
	}
	defer func() { _ = ring.Close() }()
	o := p.config.on(disk)
	const path = "restored"
	if _, err := blockstore.Restore(context.Background(), name, path, ring, &blockstore.RestoreOptions{Options: *o}); err != nil {
		return err
	}
	s, err := blockstore.Open(path, ring, o)
	if err != nil {
		return err
	}
	return p.isOneOf(s, states)
}

// busyWriter takes a backup, slowly: between its writes the volume goes on.
type busyWriter struct {
	p   *program
	buf bytes.Buffer
	n   int
	err error
}

// Write implements [io.Writer].
func (w *busyWriter) Write(b []byte) (int, error) {
	if w.n++; w.n <= 4 && w.err == nil && w.p.rng.IntN(2) == 0 {
		if w.err = w.p.meanwhile(); w.err != nil {
			return 0, w.err
		}
	}
	return w.buf.Write(b)
}
