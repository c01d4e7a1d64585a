package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

func (p *program) infoCmd() *cobra.Command {
	var asJSON, keys bool
	c := p.verb("info VOLUME [--keys] [--json]", "Say what a volume or a backup is; needs no key", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			if isBackup(args[0]) {
				if keys {
					return fault.Hint(usagef("--keys counts what is in a volume"), "coffer info without it lists the keys that a backup needs.")
				}
				return p.infoBackup(args[0], asJSON)
			}
			if keys {
				p.warnOfPlainText(args[0])
				return p.infoKeys(ctx, args[0], asJSON)
			}
			info, err := inspect(args[0])
			if err != nil {
				return err
			}
			if now := p.ownedInfo(ctx, args[0]); now != nil {
				info = now
			}
			p.warnOfPlainText(args[0])
			if asJSON {
				return p.printJSON(info)
			}
			return p.printInfo(args[0], info)
		})
	c.Long = `Say what a volume, or a backup, is. No key is needed, and so nothing of it is proved: coffer verify does that.

An unfinished decrypt beside a volume, which is plain text, is warned of on
standard error.

With --keys, count what needs each key: blocks, from the records of every tag
block under the tree's root; segments in the journal folder; and backups, as
recorded in the volume; and whether its label names the key, without which it
does not open. A key with three zeros that the label does not name is needed by
nothing here. Of a volume that is open in a process that answers on VOLUME.ctl,
that one is asked; any other that is in use is refused with --keys.`
	c.Flags().BoolVar(&keys, "keys", false, "count what needs each key")
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) infoBackup(path string, asJSON bool) error {
	info, err := inspectBackup(path)
	if err != nil {
		return err
	}
	if asJSON {
		return p.printJSON(info)
	}
	return p.printBackup(path, info)
}

func (p *program) printInfo(path string, info *blockstore.Info) error {
	t := p.table()
	t.row("volume", path)
	t.row("UUID", info.UUID)
	t.row("suite", info.Suite)
	t.row("write key", keyName(info.WriteKey))
	t.row("journal key", keyName(info.JournalKey))
	for _, id := range info.JournalKeys {
		if id != info.JournalKey {
			t.row("journal also needs", keyName(id))
		}
	}
	t.row("block size", info.BlockSize)
	t.row("size", fmt.Sprintf("%s (%s), %s", count(info.Size, "byte"), humanBytes(info.Size), count(info.Blocks, "block")))
	t.row("generation", info.Generation)
	t.row("closed cleanly", yesNo(info.Clean))
	for i, state := range info.Labels {
		t.row(fmt.Sprintf("label copy %d", i+1), state)
	}
	if c := info.Conversion; c != nil {
		t.row("conversion", conversionText(c))
	}
	if info.Restored {
		t.row("restored", "yes: anchors of what came after the backup do not fit")
	}
	if info.Retain != 0 {
		t.row("segments retained", retainText(info.Retain))
	}
	if info.BackupsProblem != "" {
		t.row("backups", humane(info.BackupsProblem))
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := p.printVolumeKeys(info.Keys); err != nil {
		return err
	}
	if err := p.printSegments(info.Segments); err != nil {
		return err
	}
	return p.printBackups(info.Backups)
}

// retainText says how many segments are kept.
func retainText(n int) string {
	if n < 0 {
		return "all"
	}
	return fmt.Sprint(n)
}

func (p *program) printBackups(list []blockstore.BackupRecord) error {
	if len(list) == 0 {
		return nil
	}
	t := p.table()
	t.row("BACKUP", "BASE", "TIME", "SEQUENCE", "DESTINATION", "KEYS")
	for _, b := range list {
		base := "none"
		if !b.Base.IsZero() {
			base = b.Base.String()
		}
		t.row(b.ID, base, b.Time.Format(time.RFC3339), b.Sequence, strconv.QuoteToGraphic(b.Destination), joinKeys(b.Keys))
	}
	return t.flush()
}

// joinKeys lists keys in one cell.
func joinKeys(keys []dek.ID) string {
	if len(keys) == 0 {
		return "none"
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = keyName(k)
	}
	return strings.Join(names, ", ")
}

// keyName shows no key as "none".
func keyName(id dek.ID) string {
	if id.IsZero() {
		return "none"
	}
	return id.String()
}

func conversionText(c *blockstore.ConversionInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "unfinished %s from %s to %s, suite %s", c.Operation, keyName(c.From), keyName(c.To), c.ToSuite)
	if c.Operation == "decrypt" {
		b.WriteString("; an ordinary open does not go on with it")
	}
	return b.String()
}

func (p *program) printVolumeKeys(keys []blockstore.KeyInfo) error {
	if len(keys) == 0 {
		return nil
	}
	t := p.table()
	t.row("KEY", "SUITE", "BITS", "WRITE", "EPOCHS", "SEALS RESERVED")
	for _, k := range keys {
		t.row(keyName(k.ID), k.Suite, k.Bits, yesNo(k.Write), k.Epochs, k.Seals)
	}
	return t.flush()
}

func (p *program) printSegments(segments []blockstore.SegmentInfo) error {
	if len(segments) == 0 {
		return nil
	}
	t := p.table()
	t.row("SEGMENT", "FILE", "STATE", "KEY", "FIRST", "LAST", "BYTES", "BEGUN", "PROBLEM")
	for _, s := range segments {
		begun := ""
		if s.Number != 0 {
			begun = s.Created.Format(time.RFC3339)
		}
		t.row(s.Number, s.Slot, s.State, keyName(s.Key), s.First, s.Last, s.Bytes, begun, s.Problem)
	}
	return t.flush()
}
