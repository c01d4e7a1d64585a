package blockstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// The records of backups, FORMAT.md "Records of backups": in clear, in one of
// two areas between the labels, named by the label with length and hash.
const (
	registryMagic  = "CFBK"
	registryOne    = 16 << 10 // offsets of the areas
	registryTwo    = 80 << 10
	registryBytes  = 40 << 10 // of an area
	registryHeader = 16
	registryFixed  = 56   // of a record, before key IDs and destination
	maxDestination = 4096 // bytes
	maxBackupKeys  = 64
)

var registryOffsets = [2]int64{registryOne, registryTwo}

// BackupRecord says that a backup was made, and where to. It is readable without a key.
type BackupRecord struct {
	ID          UUID      `json:"id"`
	Base        UUID      `json:"base"` // of the backup that this one adds to; zero: none, it is full
	Destination string    `json:"destination"`
	Time        time.Time `json:"time"`     // when it ended
	Sequence    uint64    `json:"sequence"` // of the journal: the state it restores to
	// Keys that it cannot be restored without: of its blocks and of its journal frames.
	Keys []dek.ID `json:"keys"`
}

// registryRef is how the label names the records: area, length and hash. Length 0: there are none.
type registryRef struct {
	length uint32
	hash   [sha256.Size]byte
	area   uint8
}

func (r *registryRef) encode(b []byte) {
	binary.LittleEndian.PutUint32(b, r.length)
	copy(b[4:], r.hash[:])
	b[36] = r.area
}

func decodeRegistryRef(b []byte) (r registryRef) {
	r.length, r.hash, r.area = binary.LittleEndian.Uint32(b), [sha256.Size]byte(b[4:36]), b[36]
	return r
}

func (r *registryRef) check() error {
	if r.length > registryBytes || r.area > 1 || r.length != 0 && r.length < registryHeader || r.length == 0 && *r != (registryRef{}) {
		return fmt.Errorf("malformed reference to the records of backups")
	}
	return nil
}

// encodeRegistry lays the records out.
func encodeRegistry(list []BackupRecord) []byte {
	le := binary.LittleEndian
	b := make([]byte, registryHeader)
	copy(b, registryMagic)
	le.PutUint16(b[4:], 1)
	le.PutUint32(b[8:], uint32(len(list)))
	for i := range list {
		r := &list[i]
		e := make([]byte, registryFixed)
		copy(e, r.ID[:])
		copy(e[16:], r.Base[:])
		le.PutUint64(e[32:], uint64(seconds(r.Time)))
		le.PutUint64(e[40:], r.Sequence)
		le.PutUint16(e[48:], uint16(len(r.Keys)))
		le.PutUint16(e[50:], uint16(len(r.Destination)))
		for _, k := range r.Keys {
			e = append(e, k[:]...)
		}
		b = append(append(b, e...), r.Destination...)
	}
	return b
}

var errRegistry = fmt.Errorf("blockstore: the records of backups are malformed: %w", fault.Damaged)

// decodeRegistry parses what encodeRegistry made.
func decodeRegistry(b []byte) ([]BackupRecord, error) {
	le := binary.LittleEndian
	if len(b) < registryHeader || string(b[:4]) != registryMagic || allZero(b[6:8]) != nil || allZero(b[12:16]) != nil {
		return nil, errRegistry
	}
	if v := le.Uint16(b[4:]); v != 1 {
		return nil, fmt.Errorf("blockstore: records of backups of format version %d, this build knows 1: %w", v, fault.Version)
	}
	n := int64(le.Uint32(b[8:]))
	b = b[registryHeader:]
	if n*registryFixed > int64(len(b)) {
		return nil, errRegistry
	}
	list := make([]BackupRecord, 0, n)
	for range n {
		r, rest, ok := decodeBackupRecord(b)
		if !ok {
			return nil, errRegistry
		}
		list, b = append(list, r), rest
	}
	if len(b) != 0 {
		return nil, errRegistry
	}
	return list, nil
}

func decodeBackupRecord(b []byte) (r BackupRecord, rest []byte, ok bool) {
	if len(b) < registryFixed {
		return r, nil, false
	}
	le := binary.LittleEndian
	r = BackupRecord{ID: UUID(b[:16]), Base: UUID(b[16:32]), Time: timeOf(int64(le.Uint64(b[32:]))), Sequence: le.Uint64(b[40:]), Keys: []dek.ID{}}
	keys, dest := int(le.Uint16(b[48:])), int(le.Uint16(b[50:]))
	if r.ID.IsZero() || le.Uint64(b[32:]) > lastSecond || keys > maxBackupKeys || dest > maxDestination || allZero(b[52:registryFixed]) != nil || len(b) < registryFixed+16*keys+dest {
		return r, nil, false
	}
	b = b[registryFixed:]
	for range keys {
		r.Keys, b = append(r.Keys, dek.ID(b[:16])), b[16:]
	}
	r.Destination = string(b[:dest])
	return r, b[dest:], utf8.ValidString(r.Destination)
}

// readRegistry reads the records that a label names.
func readRegistry(f fsx.File, l *label) ([]BackupRecord, error) {
	if l.registry.length == 0 {
		return nil, nil
	}
	b := make([]byte, l.registry.length)
	if err := readFull(f, b, registryOffsets[l.registry.area]); err != nil {
		return nil, fmt.Errorf("blockstore: read the records of backups: %w", err)
	}
	if sha256.Sum256(b) != l.registry.hash {
		return nil, fmt.Errorf("blockstore: the records of backups are not those that the label names: %w", fault.Tampered)
	}
	return decodeRegistry(b)
}

// addBackups is [Info.addBackups] while no record is being written.
func (s *Store) addBackups(i *Info) error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return i.addBackups(s.file, s.label.Load())
}

// Backups returns the backups recorded in the volume, oldest first.
func (s *Store) Backups() ([]BackupRecord, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	return readRegistry(s.file, s.label.Load())
}

// changeRegistry writes changed records into the area that the durable label
// does not name, and then a label that names it: a cut leaves the old records or the new ones.
func (s *Store) changeRegistry(change func([]BackupRecord) ([]BackupRecord, error)) error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	return s.changeLabel(func(next *label) error {
		list, err := readRegistry(s.file, next)
		if isBad(err) {
			return fault.Hint(err, forgetAllHint)
		}
		if err == nil {
			list, err = change(list)
		}
		if err != nil {
			return err
		}
		return s.writeRegistry(next, list)
	})
}

// writeRegistry makes records durable and lets next name them; ckptMu is held.
func (s *Store) writeRegistry(next *label, list []BackupRecord) error {
	if len(list) == 0 {
		next.registry = registryRef{}
		return nil
	}
	b := encodeRegistry(list)
	if len(b) > registryBytes {
		return noRoom(len(list) - 1)
	}
	ref := registryRef{length: uint32(len(b)), hash: sha256.Sum256(b)}
	if next.registry.length != 0 {
		ref.area = 1 - next.registry.area
	}
	if _, err := s.file.WriteAt(b, registryOffsets[ref.area]); err != nil {
		return s.fail(fmt.Errorf("blockstore: write the records of backups: %w", err))
	}
	if err := s.file.SyncData(); err != nil {
		return s.fail(fmt.Errorf("blockstore: sync the records of backups: %w", err))
	}
	next.registry = ref
	return nil
}

func noRoom(n int) error {
	return fault.Hint(fmt.Errorf("blockstore: the volume has no room to record more than its %d backups: %w", n, fault.State),
		"coffer backup forget VOLUME ID drops the record of a backup that no longer exists")
}

// roomToRecord refuses, before a backup is made, what could not be recorded afterwards.
func (s *Store) roomToRecord(destination string) error {
	list, err := s.Backups()
	if err != nil {
		if isBad(err) {
			return fault.Hint(err, forgetAllHint)
		}
		return err
	}
	keys, err := neededKeys(s.label.Load(), nil)
	if err != nil {
		return err
	}
	keys = append(keys, make([]dek.ID, 4)...) // that the journal may be put under meanwhile
	if len(encodeRegistry(append(list, BackupRecord{Destination: destination, Keys: keys}))) > registryBytes {
		return noRoom(len(list))
	}
	return nil
}

const forgetAllHint = "coffer backup forget VOLUME all drops all records (in Go ForgetAllBackups)"

// RecordBackup records in the volume that a backup exists, so that [Store.Info]
// lists it and the keys it needs. Call it when the backup is durable where r.Destination
// says; [Store.BackupTo] does so itself. A full registry is refused with
// [ErrState], so is an ID that is recorded already.
func (s *Store) RecordBackup(_ context.Context, r BackupRecord) error {
	if r.ID.IsZero() || len(r.Destination) > maxDestination || len(r.Keys) > maxBackupKeys || !utf8.ValidString(r.Destination) {
		return fmt.Errorf("blockstore: a record of a backup needs an ID, at most %d keys, and a destination of at most %d bytes of UTF-8: %w",
			maxBackupKeys, maxDestination, fault.Usage)
	}
	return s.changeRegistry(func(list []BackupRecord) ([]BackupRecord, error) {
		if slices.ContainsFunc(list, func(b BackupRecord) bool { return b.ID == r.ID }) {
			return nil, fmt.Errorf("blockstore: backup %v is recorded already: %w", r.ID, fault.State)
		}
		return append(list, r), nil
	})
}

// ErrNoBackup: no backup is recorded under that ID. It carries [ErrState].
var ErrNoBackup = fmt.Errorf("blockstore: the volume has no record of it: %w", fault.State)

// ForgetBackup drops the record of a backup; the backup itself is not touched.
// [ErrNoBackup] where there is none under that ID.
func (s *Store) ForgetBackup(id UUID) error {
	err := s.changeRegistry(func(list []BackupRecord) ([]BackupRecord, error) {
		i := slices.IndexFunc(list, func(b BackupRecord) bool { return b.ID == id })
		if i < 0 {
			return nil, fault.Hint(fmt.Errorf("blockstore: backup %v: %w", id, ErrNoBackup), "coffer info VOLUME lists those that are")
		}
		return slices.Delete(list, i, i+1), nil
	})
	if err != nil {
		return err
	}
	return s.wipeRegistry()
}

// ForgetAllBackups drops all records, also such as cannot be read any more.
func (s *Store) ForgetAllBackups() error {
	if err := s.enterWrite(); err != nil {
		return err
	}
	defer s.gate.leave()
	err := s.changeLabel(func(next *label) error {
		next.registry = registryRef{}
		return nil
	})
	if err != nil {
		return err
	}
	return s.wipeRegistry()
}

// wipeRegistry overwrites the areas that the label does not name: what was forgotten is not to stay there.
func (s *Store) wipeRegistry() error {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	l := s.label.Load()
	for i, off := range registryOffsets {
		if l.registry.length != 0 && int(l.registry.area) == i {
			continue
		}
		if _, err := s.wipeRange(off, registryBytes); err != nil {
			return err
		}
	}
	if err := s.file.SyncData(); err != nil {
		return s.fail(fmt.Errorf("blockstore: sync the records of backups: %w", err))
	}
	return nil
}
