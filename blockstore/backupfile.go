package blockstore

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
	"unicode/utf8"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// The file of a backup, FORMAT.md "Backup": a preamble, then records.
const (
	backupMagic    = "COFFERB1"
	backupVersion  = 1
	backupPreamble = 16

	backupRecordMagic  = "CFBR"
	backupRecordHeader = 24

	backupHeaderFixed = 216
	maxBasePath       = 4096
	backupBitmap      = 24 // bytes: of the 168 blocks of a group, which follow
	backupGroupFixed  = 8 + metaSize + backupBitmap
	backupListEntry   = 40
	backupListMost    = 1024 // entries in one record
	backupFrameMost   = 4 << 20
	backupEndSize     = 1232
	backupEndMAC      = 1200
)

// backupKind says what a record of a backup is.
type backupKind uint8

const (
	backupHead backupKind = iota + 1 // where it begins, what it adds to
	backupGroup
	backupList    // groups that are there, with the hash of their tag blocks
	backupSegment // header of a journal segment
	backupFrame   // a frame of it
	backupLabel   // as of the end
	backupEnd     // hash, counts, MAC
)

// bounds returns the least and the greatest length of a record's payload.
func (k backupKind) bounds(blockSize int) (least, most int) {
	switch k {
	case backupHead:
		return backupHeaderFixed, backupHeaderFixed + maxBasePath
	case backupGroup:
		return backupGroupFixed, backupGroupFixed + perGroup*blockSize
	case backupList:
		return backupListEntry, backupListEntry * backupListMost
	case backupSegment:
		return journal.MinUnit, journal.MaxUnit
	case backupFrame:
		return 1, backupFrameMost
	case backupLabel:
		return labelSize, labelSize
	case backupEnd:
		return backupEndSize, backupEndSize
	}
	return 0, -1
}

// recordHead is what precedes every payload.
type recordHead struct {
	kind   backupKind
	length int
	crc    uint32
	number uint64 // of the record, from 0
}

func (h *recordHead) encode(payload []byte) [backupRecordHeader]byte {
	var b [backupRecordHeader]byte
	le := binary.LittleEndian
	copy(b[:], backupRecordMagic)
	b[4] = byte(h.kind)
	le.PutUint32(b[8:], uint32(len(payload)))
	le.PutUint64(b[16:], h.number)
	le.PutUint32(b[12:], backupCRC(b[:], payload))
	return b
}

// backupCRC is over a record but the checksum itself.
func backupCRC(head, payload []byte) uint32 {
	c := crc32.Update(0, castagnoli, head[:12])
	c = crc32.Update(c, castagnoli, head[16:backupRecordHeader])
	return crc32.Update(c, castagnoli, payload)
}

func decodeRecordHead(b []byte) (h recordHead, ok bool) {
	le := binary.LittleEndian
	if string(b[:4]) != backupRecordMagic || b[5]|b[6]|b[7] != 0 {
		return h, false
	}
	return recordHead{backupKind(b[4]), int(le.Uint32(b[8:])), le.Uint32(b[12:]), le.Uint64(b[16:])}, true
}

// backupStart is a backup's first record: where it begins, and what it adds to.
type backupStart struct {
	id, base  UUID
	volume    UUID
	blockSize int
	size      int64 // bytes, at from
	began     int64 // Unix seconds
	from      journal.Position
	session   session // of the volume while it was made
	stream    UUID
	baseSeq   uint64   // of the position where the base begins: blocks of later versions are here
	baseHash  [32]byte // SHA-256 of the base's last record
	basePath  string
}

func (h *backupStart) encode() []byte {
	b := make([]byte, backupHeaderFixed, backupHeaderFixed+len(h.basePath))
	le := binary.LittleEndian
	copy(b, h.id[:])
	copy(b[16:], h.base[:])
	copy(b[32:], h.volume[:])
	le.PutUint32(b[48:], uint32(h.blockSize))
	le.PutUint64(b[56:], uint64(h.size))
	le.PutUint64(b[64:], uint64(h.began))
	le.PutUint64(b[72:], h.from.Segment)
	le.PutUint64(b[80:], h.from.Seq)
	copy(b[88:], h.from.Chain[:])
	copy(b[120:], h.session.id[:])
	le.PutUint64(b[136:], h.session.ordinal)
	copy(b[144:], h.stream[:])
	le.PutUint64(b[160:], h.baseSeq)
	copy(b[168:], h.baseHash[:])
	le.PutUint16(b[200:], uint16(len(h.basePath)))
	return append(b, h.basePath...)
}

func decodeBackupStart(b []byte) (*backupStart, error) {
	le := binary.LittleEndian
	h := &backupStart{id: UUID(b[:16]), base: UUID(b[16:32]), volume: UUID(b[32:48]), blockSize: int(le.Uint32(b[48:])), size: int64(le.Uint64(b[56:])),
		began: int64(le.Uint64(b[64:])), from: journal.Position{Segment: le.Uint64(b[72:]), Seq: le.Uint64(b[80:]), Chain: [32]byte(b[88:120])},
		session: session{id: UUID(b[120:136]), ordinal: le.Uint64(b[136:])}, stream: UUID(b[144:160]), baseSeq: le.Uint64(b[160:]),
		baseHash: [32]byte(b[168:200]), basePath: string(b[backupHeaderFixed:])}
	lay, err := newLayout(int64(h.blockSize))
	if err == nil {
		err = lay.checkSize(h.size)
	}
	full := h.base.IsZero()
	if err != nil || allZero(b[52:56]) != nil || allZero(b[202:backupHeaderFixed]) != nil || int(le.Uint16(b[200:])) != len(h.basePath) ||
		h.id.IsZero() || h.volume.IsZero() || h.from.Seq > maxCounter || h.from.Segment > maxCounter || h.baseSeq > h.from.Seq || uint64(h.began) > lastSecond || !utf8.ValidString(h.basePath) ||
		full && (h.baseSeq != 0 || h.basePath != "" || h.baseHash != [32]byte{}) {
		return nil, fmt.Errorf("blockstore: the backup's first record is malformed: %w", fault.Damaged)
	}
	return h, nil
}

// backupFinish is a backup's last record.
type backupFinish struct {
	id   UUID
	hash [32]byte // SHA-256 of everything before the record
	// how many groups and blocks it holds, groups it lists, segments and frames it holds, records there are
	groups, blocks, listed, segments, frames, records uint64
	ended                                             int64 // Unix seconds
	end                                               journal.Position
	size                                              int64 // bytes of the volume, at end
	keys                                              []dek.ID
}

// encode leaves the MAC zero.
func (f *backupFinish) encode() []byte {
	b := make([]byte, backupEndSize)
	le := binary.LittleEndian
	copy(b, f.id[:])
	copy(b[16:], f.hash[:])
	for i, n := range []uint64{f.groups, f.blocks, f.listed, f.segments, f.frames, f.records, uint64(f.ended), f.end.Segment, f.end.Seq} {
		le.PutUint64(b[48+8*i:], n)
	}
	copy(b[120:], f.end.Chain[:])
	le.PutUint64(b[152:], uint64(f.size))
	le.PutUint16(b[160:], uint16(len(f.keys)))
	for i, k := range f.keys {
		copy(b[168+16*i:], k[:])
	}
	return b
}

func decodeBackupFinish(b []byte) (*backupFinish, error) {
	le := binary.LittleEndian
	n := func(i int) uint64 { return le.Uint64(b[48+8*i:]) }
	f := &backupFinish{id: UUID(b[:16]), hash: [32]byte(b[16:48]), groups: n(0), blocks: n(1), listed: n(2), segments: n(3), frames: n(4), records: n(5),
		ended: int64(n(6)), end: journal.Position{Segment: n(7), Seq: n(8), Chain: [32]byte(b[120:152])}, size: int64(le.Uint64(b[152:])), keys: []dek.ID{}}
	keys := int(le.Uint16(b[160:]))
	if keys > maxBackupKeys || allZero(b[162:168]) != nil || f.size < 0 || n(6) > lastSecond || f.end.Seq > maxCounter || f.end.Segment > maxCounter ||
		allZero(b[168+16*min(keys, maxBackupKeys):backupEndMAC]) != nil {
		return nil, fmt.Errorf("blockstore: the backup's last record is malformed: %w", fault.Damaged)
	}
	for i := range keys {
		f.keys = append(f.keys, dek.ID(b[168+16*i:][:16]))
	}
	return f, nil
}

// BackupInfo is what a backup says of itself. Without a key none of it is authenticated.
type BackupInfo struct {
	ID        UUID      `json:"id"`
	Base      UUID      `json:"base"`      // zero: a full backup
	BasePath  string    `json:"base_path"` // where the base was then
	Volume    UUID      `json:"volume"`
	BlockSize int       `json:"block_size"`
	Size      int64     `json:"size"` // of the volume, in bytes
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended"`
	First     uint64    `json:"first_sequence"` // blocks are as of here or later
	Last      uint64    `json:"last_sequence"`  // the state it restores to
	Groups    uint64    `json:"groups"`         // of 168 blocks, held
	Blocks    uint64    `json:"blocks"`         // held
	Listed    uint64    `json:"listed_groups"`  // there are in the volume
	Segments  uint64    `json:"segments"`       // of the journal
	Frames    uint64    `json:"frames"`         // of the journal
	Bytes     int64     `json:"bytes"`          // of the backup
	Keys      []dek.ID  `json:"keys"`           // that it cannot be restored without
}

func backupInfo(h *backupStart, f *backupFinish, bytes int64) BackupInfo {
	return BackupInfo{ID: h.id, Base: h.base, BasePath: h.basePath, Volume: h.volume, BlockSize: h.blockSize, Size: f.size,
		Began: timeOf(h.began), Ended: timeOf(f.ended), First: h.from.Seq, Last: f.end.Seq,
		Groups: f.groups, Blocks: f.blocks, Listed: f.listed, Segments: f.segments, Frames: f.frames, Bytes: bytes, Keys: f.keys}
}

// Record returns what is to be recorded of a backup that lies at destination.
func (i *BackupInfo) Record(destination string) BackupRecord {
	return BackupRecord{ID: i.ID, Base: i.Base, Destination: destination, Time: i.Ended, Sequence: i.Last, Keys: i.Keys}
}
