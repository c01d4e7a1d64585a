package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

func (p *program) backupCmd() *cobra.Command {
	var v volumeFlags
	var since string
	var asJSON bool
	var style progressStyle
	c := p.verb("backup VOLUME DEST [--since DEST] [--json]", "Back a volume up into a file", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.backup(ctx, args[0], args[1], since, &v, asJSON, p.meter(style))
		})
	c.Long = `Back a volume up into a new file, and print the backup's ID. The backup is
encrypted as the volume is: to restore it, the keys that coffer info DEST lists
are needed, so keep them. The volume records the backup, where it was put, and
its keys; coffer info VOLUME lists them, for everybody to read, and
coffer backup forget drops the record of a backup that is gone.

--since names an earlier backup of the same volume: only what changed since goes
into the new one, which cannot be restored without it. A backup of another
volume, or of another history of this one, is refused, and so is one from before
the last 64 times that the volume was opened for writing: then make a full one.

A run that was killed leaves nothing at DEST, or the whole backup, which the
volume may not list: coffer backup record VOLUME DEST records it.

A volume that is open in a process which answers on VOLUME.ctl, such as coffer
serve, is backed up by that process, with its rights, while it works; no key is
needed here then. In Go: Store.BackupTo.`
	v.register(c)
	style.register(c)
	jsonFlag(c, &asJSON)
	c.Flags().StringVar(&since, "since", "", "an earlier backup, `FILE`: hold only what changed since")
	c.AddCommand(p.backupForgetCmd(), p.backupRecordCmd())
	return c
}

// folderThere refuses a file in a folder that is not there.
func folderThere(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", filepath.Dir(path))
	}
	return err
}

// madeBackup is what backup --json prints.
type madeBackup struct {
	Destination string `json:"destination"`
	*blockstore.BackupInfo
}

func (p *program) backup(ctx context.Context, path, dest, since string, v *volumeFlags, asJSON bool, m *meter) error {
	if err := mustNotExist(dest); err != nil {
		if isBackup(dest) {
			err = fault.Hint(err, fmt.Sprintf("It is a backup, and nothing is overwritten: choose another name. If an interrupted run made it, so that "+
				"coffer info %s does not list it, record it: coffer backup record %s %s", path, path, dest))
		}
		return err
	}
	if err := folderThere(dest); err != nil {
		return err
	}
	var base *blockstore.BackupInfo
	if since != "" {
		var err error
		if base, err = inspectBackup(since); err != nil {
			return err
		}
	}
	v.before = func(info *blockstore.Info, _ *keys) error {
		if base != nil && base.Volume != info.UUID {
			return fault.Hint(statef("%s is a backup of volume %s, not of %s", since, base.Volume, path), "Make a full backup: leave --since out.")
		}
		return nil
	}
	defer m.finish()
	c, err := p.ownerFor(ctx, path, v)
	if err != nil {
		return err
	}
	if c != nil {
		defer c.Close()
		info, err := p.backupOwned(ctx, c, path, dest, since, v, m)
		if err != nil {
			return err
		}
		return p.printMade(dest, info, asJSON, m)
	}
	return p.withVolume(ctx, path, v, false, func(s *volume) error {
		info, err := s.BackupTo(ctx, dest, blockstore.BackupOptions{Base: since,
			Progress: func(done, total uint64) { m.set("back up", int64(done), int64(total), "blocks") }})
		if err != nil {
			return err
		}
		return p.printMade(dest, info, asJSON, m)
	})
}

// printMade says what a backup holds, and its ID.
func (p *program) printMade(dest string, info *blockstore.BackupInfo, asJSON bool, m *meter) error {
	m.finish()
	if asJSON {
		return p.printJSON(madeBackup{dest, info})
	}
	what := "a full backup"
	if !info.Base.IsZero() {
		what = "what changed since backup " + info.Base.String()
	}
	p.note("%s holds %s: %s, %s of the journal, %s", dest, what, count(info.Blocks, "block"), count(info.Frames, "frame"), humanBytes(info.Bytes))
	return p.print("%s", info.ID)
}

func (p *program) backupForgetCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("forget VOLUME ID", "Drop the record of a backup that is gone", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			var id blockstore.UUID
			if args[1] != "all" {
				var err error
				if id, err = blockstore.ParseUUID(args[1]); err != nil {
					return usagef("%q is not the ID of a backup", args[1])
				}
			}
			v.before = func(info *blockstore.Info, _ *keys) error {
				if !id.IsZero() && info.BackupsProblem == "" && !slices.ContainsFunc(info.Backups, func(b blockstore.BackupRecord) bool { return b.ID == id }) {
					return fault.Hint(statef("%s records no backup %s", args[0], id), "coffer info lists them.")
				}
				return nil
			}
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error {
				if id.IsZero() {
					return s.ForgetAllBackups()
				}
				return s.ForgetBackup(id)
			})
		})
	c.Long = `Drop the record of a backup from a volume, or with all in place of the ID those
of all backups. The backup itself is not touched. While it is recorded, the keys
it needs count as needed.`
	v.register(c)
	return c
}

func (p *program) backupRecordCmd() *cobra.Command {
	var v volumeFlags
	c := p.verb("record VOLUME DEST", "Record a backup that an interrupted run left", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			if _, err := inspectBackup(args[1]); err != nil {
				return err
			}
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error {
				info, err := s.RecordBackupAt(ctx, args[1])
				if err != nil {
					return err
				}
				return p.print("%s", info.ID)
			})
		})
	c.Long = `Record in a volume the backup DEST, which a run of coffer backup made and did not
come to record since it was killed, and print its ID. DEST is read as a whole and
authenticated first. One of another volume, or one that is recorded already, is
refused.`
	v.register(c)
	return c
}

// inspectBackup says what a backup is, without a key.
func inspectBackup(path string) (*blockstore.BackupInfo, error) {
	if err := mustBeFile("file", path); err != nil {
		return nil, err
	}
	info, err := blockstore.InspectBackup(path, nil)
	if errors.Is(err, fault.NotFormat) {
		err = say(err, "%s is not a backup", path)
	}
	return info, err
}

// isBackup reports whether a file begins as a backup, whole or not.
func isBackup(path string) bool {
	if mustBeFile("file", path) != nil {
		return false
	}
	_, err := blockstore.InspectBackup(path, nil)
	return err == nil || errors.Is(err, fault.Damaged) || errors.Is(err, fault.Tampered) || errors.Is(err, fault.Version)
}

func (p *program) printBackup(path string, i *blockstore.BackupInfo) error {
	t := p.table()
	t.row("backup", path)
	t.row("ID", i.ID)
	if i.Base.IsZero() {
		t.row("base", "none: a full backup")
	} else {
		t.row("base", i.Base)
		t.row("base was in", fmt.Sprintf("%q", i.BasePath))
	}
	t.row("volume", i.Volume)
	t.row("keys needed", joinKeys(i.Keys))
	t.row("size", fmt.Sprintf("%s (%s), in blocks of %d", count(i.Size, "byte"), humanBytes(i.Size), i.BlockSize))
	t.row("begun", i.Began.Format(time.RFC3339))
	t.row("ended", i.Ended.Format(time.RFC3339))
	t.row("sequence", fmt.Sprintf("%d, copied from %d on", i.Last, i.First))
	t.row("holds", fmt.Sprintf("%s in %s, %s of the journal in %s", count(i.Blocks, "block"), count(i.Groups, "group"),
		count(i.Frames, "frame"), count(i.Segments, "segment")))
	t.row("file", humanBytes(i.Bytes))
	return t.flush()
}
