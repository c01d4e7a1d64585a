package blockstore

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/journal"
)

// KeyInfo is a key that blocks of a volume may be under.
type KeyInfo struct {
	ID     dek.ID `json:"id"`
	Suite  string `json:"suite"`
	Bits   int    `json:"bits"`
	Write  bool   `json:"write"`  // new writes use it
	Epochs int    `json:"epochs"` // salts in use
	Seals  uint64 `json:"seals"`  // reserved under the current epoch
}

// ConversionInfo is a conversion that a volume records as unfinished.
type ConversionInfo struct {
	Operation string `json:"operation"` // encrypt, decrypt or rekey
	From      dek.ID `json:"from"`
	FromSuite string `json:"from_suite"`
	To        dek.ID `json:"to"`
	ToSuite   string `json:"to_suite"`
}

// SegmentInfo is a journal segment, with the key it needs.
type SegmentInfo struct {
	Number  uint64    `json:"number"`
	Slot    string    `json:"slot"` // name of its file
	Key     dek.ID    `json:"key"`  // zero: plain
	State   string    `json:"state"`
	First   uint64    `json:"first"`
	Last    uint64    `json:"last"`
	Bytes   int64     `json:"bytes"`
	Created time.Time `json:"created"`
	Problem string    `json:"problem,omitempty"`
}

// Info is what the label and the journal's headers say. None of it is secret,
// and without a key none of it is authenticated.
type Info struct {
	UUID       UUID      `json:"uuid"`
	Suite      string    `json:"suite"` // of new writes
	Encrypted  bool      `json:"encrypted"`
	BlockSize  int       `json:"block_size"`
	Size       int64     `json:"size"` // bytes
	Blocks     uint64    `json:"blocks"`
	Generation uint64    `json:"generation"`
	Clean      bool      `json:"closed_cleanly"`
	Created    time.Time `json:"created"`
	WriteKey   dek.ID    `json:"write_key"`
	Keys       []KeyInfo `json:"keys"`
	JournalKey dek.ID    `json:"journal_key"`
	// JournalKeys are those that recovery may need; the zero ID stands for plain segments.
	JournalKeys []dek.ID        `json:"journal_keys"`
	Conversion  *ConversionInfo `json:"conversion,omitempty"`
	Labels      [2]string       `json:"labels"`   // "ok", or what is wrong with the copy
	Sessions    uint64          `json:"sessions"` // read-write opens so far
	Lineage     int             `json:"lineage"`  // of those, the ones an anchor can be checked against
	RedoSeq     uint64          `json:"redo_sequence"`
	Segments    []SegmentInfo   `json:"segments"`
	// Backups are those recorded in the volume, oldest first; what happened to them since nobody knows.
	Backups []BackupRecord `json:"backups"`
	// BackupsProblem says why the records cannot be read; Backups is empty then.
	BackupsProblem string `json:"backups_problem,omitempty"`
	// Retain is how many journal segments that recovery no longer needs are kept; -1 is all.
	Retain int `json:"retain"`
	// Restored: the volume, or what it was restored from, was once restored from a backup.
	Restored bool `json:"restored"`
}

func (l *label) info() *Info {
	w := l.write()
	i := &Info{UUID: l.volume, Suite: w.suite.String(), Encrypted: w.suite != None, BlockSize: l.blockSize, Size: l.size, Blocks: l.blocks(),
		Generation: l.generation, Clean: l.clean, Created: timeOf(l.created), WriteKey: w.key, JournalKey: l.journalKey,
		JournalKeys: append([]dek.ID{}, l.journalKeys...), Labels: [2]string{"ok", "ok"}, Sessions: l.last().ordinal, Lineage: len(l.lineage),
		RedoSeq: l.redo.Seq, Segments: []SegmentInfo{}, Keys: []KeyInfo{}, Backups: []BackupRecord{}, Retain: int(l.retain), Restored: l.restored != 0}
	for n := range l.slots {
		k := &l.slots[n]
		if k.state == slotLive && k.suite != None {
			i.Keys = append(i.Keys, KeyInfo{k.key, k.suite.String(), k.bits, uint8(n) == l.writeSlot, len(k.epochs), k.current().reserved})
		}
	}
	if l.conv.op != opNone {
		from, to := &l.slots[l.conv.from], &l.slots[l.conv.to]
		i.Conversion = &ConversionInfo{l.conv.op.String(), from.key, from.suite.String(), to.key, to.suite.String()}
	}
	return i
}

func (i *Info) addSegments(list []journal.SegmentInfo, l *label) {
	for _, g := range list {
		if g.Err == nil && g.Volume != l.volume {
			continue
		}
		s := SegmentInfo{Number: g.Number, Slot: g.Slot, Key: g.Key, State: l.stateOf(&g).String(), First: g.First, Last: g.Last, Bytes: g.Bytes, Created: g.Created}
		if g.Err != nil {
			s.Problem = g.Err.Error()
		} else if s.Last == 0 && l.clean && g.Number == l.redo.Segment && UUID(g.Stream) == l.stream {
			s.Last = l.redo.Seq
		}
		i.Segments = append(i.Segments, s)
	}
}

// Inspect reads what a volume says of itself. It needs no key, takes no lock
// and writes nothing.
func Inspect(path string, o *Options) (info *Info, err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	path = fsx.Resolve(opts.FS, path)
	f, err := opts.FS.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("blockstore: open: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	copies, err := readLabels(f)
	if err != nil {
		return nil, err
	}
	l, err := copies.choose()
	if err != nil {
		return nil, err
	}
	info = l.info()
	for i, p := range copies.problems() {
		if p != "" {
			info.Labels[i] = p
		}
	}
	list, err := journal.List(opts.FS, journalDir(path))
	if err != nil {
		return nil, fmt.Errorf("blockstore: list the journal: %w", err)
	}
	info.addSegments(list, l)
	return info, info.addBackups(f, l)
}

// addBackups lists the recorded backups. Records that cannot be read are no
// error: the rest is as good without them.
func (i *Info) addBackups(f fsx.File, l *label) error {
	list, err := readRegistry(f, l)
	if err != nil {
		if !isBad(err) {
			return err
		}
		i.BackupsProblem = err.Error()
		return nil
	}
	i.Backups = append(i.Backups, list...)
	return nil
}

// Info returns what the label says now, and the journal's segments.
func (s *Store) Info() (*Info, error) {
	l := s.label.Load()
	i := l.info()
	i.Size, i.Blocks = s.Size(), s.Blocks()
	if err := s.addBackups(i); err != nil {
		return nil, err
	}
	if s.journal != nil {
		i.addSegments(s.journal.Segments(), l)
		return i, nil
	}
	list, err := journal.List(s.opts.FS, journalDir(s.path))
	if err != nil {
		return nil, fmt.Errorf("blockstore: list the journal: %w", err)
	}
	i.addSegments(list, l)
	return i, nil
}
