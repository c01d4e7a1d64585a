package blockstore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// backupError says where in a backup something is wrong.
func backupError(off int64, what string, marker error) error {
	return fmt.Errorf("blockstore: the backup at byte %d: %s: %w", off, what, marker)
}

// backupFile is a backup that is open, with its first and last record. Only
// their checksums have been looked at.
type backupFile struct {
	f      fsx.File
	path   string
	size   int64
	start  *backupStart
	finish *backupFinish
	hash   [32]byte // of the last record's payload, and through it of all: what names the backup in one that adds to it
}

// openBackup opens a backup and reads its first and last record.
func openBackup(fsys fsx.FS, path string) (_ *backupFile, err error) {
	f, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("blockstore: open the backup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	b := &backupFile{f: f, path: path}
	if b.size, err = f.Size(); err != nil {
		return nil, fmt.Errorf("blockstore: size of the backup: %w", err)
	}
	c := b.scan()
	kind, _, err := c.next()
	if err != nil {
		return nil, err
	}
	if kind != backupHead {
		return nil, backupError(backupPreamble, "does not begin as a backup", fault.Damaged)
	}
	b.start = c.start
	if b.size < backupPreamble+backupRecordHeader+backupEndSize {
		return nil, backupError(b.size, "it is cut short", fault.Damaged)
	}
	last := make([]byte, backupRecordHeader+backupEndSize)
	if err := readFull(f, last, b.size-int64(len(last))); err != nil {
		return nil, fmt.Errorf("blockstore: read the backup's end: %w", err)
	}
	h, ok := decodeRecordHead(last)
	payload := last[backupRecordHeader:]
	if !ok || h.kind != backupEnd || h.length != backupEndSize || h.crc != backupCRC(last, payload) {
		return nil, backupError(b.size, "its last record is not there: it is cut short, or was never finished", fault.Damaged)
	}
	if b.finish, err = decodeBackupFinish(payload); err != nil {
		return nil, err
	}
	b.hash = sha256.Sum256(payload)
	if b.finish.id != b.start.id {
		return nil, backupError(b.size, "beginning and end are of different backups", fault.Tampered)
	}
	return b, nil
}

func (b *backupFile) close() error { return b.f.Close() }

// scan returns a scanner over the whole of it.
func (b *backupFile) scan() *backupScan {
	return newBackupScan(io.NewSectionReader(b.f, 0, 1<<62))
}

// backupScan reads a backup from its beginning to its end, record by record: with
// bounded memory, by checksums, in the order that the format prescribes.
type backupScan struct {
	r     *bufio.Reader
	hash  hash.Hash
	off   int64 // of the next record
	at    int64 // of the record returned last
	stage backupKind
	buf   []byte

	number uint64 // of the next record
	start  *backupStart
	finish *backupFinish
	group  uint64 // the lowest that may come next
	listed uint64 // the same in lists
	counts backupFinish
}

func newBackupScan(r io.Reader) *backupScan {
	return &backupScan{r: bufio.NewReaderSize(r, 64<<10), hash: sha256.New()}
}

// readFull reads b or says that the backup ends here.
func (c *backupScan) readFull(b []byte) error {
	n, err := io.ReadFull(c.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return backupError(c.off+int64(n), "it is cut short", fault.Damaged)
	}
	if err != nil {
		return fmt.Errorf("blockstore: read the backup: %w", err)
	}
	return nil
}

func (c *backupScan) preamble() error {
	var b [backupPreamble]byte
	n, err := io.ReadFull(c.r, b[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("blockstore: read the backup: %w", err)
	}
	if n < 8 || string(b[:8]) != backupMagic {
		return fmt.Errorf("blockstore: not a backup: %w", fault.NotFormat)
	}
	if n < len(b) {
		return backupError(int64(n), "it is cut short", fault.Damaged)
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != backupVersion {
		return fmt.Errorf("blockstore: backup of format version %d, this build knows %d: %w", v, backupVersion, fault.Version)
	}
	if allZero(b[10:]) != nil {
		return backupError(10, "reserved bytes are not zero", fault.Damaged)
	}
	c.hash.Write(b[:])
	c.off = backupPreamble
	return nil
}

// next returns the next record. Its payload is valid until the next call. After the last one it returns io.EOF.
func (c *backupScan) next() (backupKind, []byte, error) {
	if c.off == 0 {
		if err := c.preamble(); err != nil {
			return 0, nil, err
		}
	}
	if c.finish != nil {
		if _, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
			return 0, nil, backupError(c.off, "something follows its end", fault.Damaged)
		}
		return 0, nil, io.EOF
	}
	var head [backupRecordHeader]byte
	if err := c.readFull(head[:]); err != nil {
		return 0, nil, err
	}
	h, ok := decodeRecordHead(head[:])
	if !ok || h.number != c.number {
		return 0, nil, backupError(c.off, "no record is here", fault.Damaged)
	}
	if err := c.order(h.kind); err != nil {
		return 0, nil, err
	}
	if least, most := h.kind.bounds(c.blockSize()); h.length < least || h.length > most {
		return 0, nil, backupError(c.off, "a record of a length that it cannot have", fault.Damaged)
	}
	if cap(c.buf) < h.length {
		c.buf = make([]byte, h.length)
	}
	payload := c.buf[:h.length]
	if err := c.readFull(payload); err != nil {
		return 0, nil, err
	}
	if h.crc != backupCRC(head[:], payload) {
		return 0, nil, backupError(c.off, "a record's checksum is wrong", fault.Damaged)
	}
	if err := c.take(h.kind, payload); err != nil {
		return 0, nil, err
	}
	c.hash.Write(head[:])
	c.hash.Write(payload)
	c.at = c.off
	c.off += backupRecordHeader + int64(h.length)
	c.number++
	return h.kind, payload, nil
}

func (c *backupScan) blockSize() int {
	if c.start == nil {
		return 0
	}
	return c.start.blockSize
}

// order checks that a record of this kind may come now.
func (c *backupScan) order(k backupKind) error {
	ok := false
	switch last := c.stage; k {
	case backupHead:
		ok = last == 0
	case backupGroup, backupList:
		ok = last == backupHead || last == backupGroup || last == backupList
	case backupSegment:
		ok = last >= backupHead && last <= backupFrame
	case backupFrame:
		ok = last == backupSegment || last == backupFrame
	case backupLabel:
		ok = last == backupSegment || last == backupFrame
	case backupEnd:
		ok = last == backupLabel
	}
	if !ok {
		return backupError(c.off, "a record that may not come here", fault.Damaged)
	}
	c.stage = k
	return nil
}

// take looks at what a record says of itself, and counts it.
func (c *backupScan) take(k backupKind, b []byte) (err error) {
	switch k {
	case backupHead:
		c.start, err = decodeBackupStart(b)
	case backupGroup:
		g, bad := decodeGroup(b, c.start.blockSize)
		if bad != nil || g.number < c.group {
			return backupError(c.off, "a malformed group", fault.Damaged)
		}
		c.group = g.number + 1
		c.counts.groups++
		c.counts.blocks += uint64(len(g.data) / c.start.blockSize)
	case backupList:
		ok := len(b)%backupListEntry == 0
		for ; ok && len(b) > 0; b = b[backupListEntry:] {
			n := binary.LittleEndian.Uint64(b)
			ok = n >= c.listed && n < maxGroups
			c.listed = n + 1
			c.counts.listed++
		}
		if !ok {
			return backupError(c.off, "a malformed list of groups", fault.Damaged)
		}
	case backupSegment:
		c.counts.segments++
	case backupFrame:
		c.counts.frames++
	case backupEnd:
		err = c.takeEnd(b)
	}
	return err
}

func (c *backupScan) takeEnd(b []byte) error {
	f, err := decodeBackupFinish(b)
	if err != nil {
		return err
	}
	n := &c.counts
	switch {
	case f.id != c.start.id:
		return backupError(c.off, "beginning and end are of different backups", fault.Tampered)
	case f.hash != [32]byte(c.hash.Sum(nil)):
		return backupError(c.off, "its content is not what its end says", fault.Tampered)
	case f.groups != n.groups || f.blocks != n.blocks || f.listed != n.listed || f.segments != n.segments || f.frames != n.frames || f.records != c.number+1:
		return backupError(c.off, "it holds something else than its end says", fault.Tampered)
	}
	c.finish = f
	return nil
}

// groupRecord is a group in a backup; it shares the record's memory.
type groupRecord struct {
	number uint64
	tag    []byte // the tag block as it was published
	bitmap []byte // which of its blocks follow
	data   []byte
}

func (g *groupRecord) has(i int) bool { return g.bitmap[i/8]>>(i%8)&1 != 0 }

func decodeGroup(b []byte, blockSize int) (g groupRecord, err error) {
	g = groupRecord{binary.LittleEndian.Uint64(b), b[8:][:metaSize], b[8+metaSize:][:backupBitmap], b[backupGroupFixed:]}
	n := 0
	for i := range perGroup {
		if g.has(i) {
			n++
		}
	}
	if g.number >= maxGroups || len(g.data) != n*blockSize || allZero(g.bitmap[perGroup/8:]) != nil {
		return g, fmt.Errorf("blockstore: malformed group in a backup: %w", fault.Damaged)
	}
	return g, nil
}

// each calls fn for every block that the group holds.
func (g *groupRecord) each(blockSize int, fn func(i int, data []byte) error) error {
	rest := g.data
	for i := range perGroup {
		if !g.has(i) {
			continue
		}
		if err := fn(i, rest[:blockSize]); err != nil {
			return err
		}
		rest = rest[blockSize:]
	}
	return nil
}

// read calls fn for every record of a backup.
func (b *backupFile) read(ctx context.Context, fn func(c *backupScan, k backupKind, payload []byte) error) error {
	c := b.scan()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, payload, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = fn(c, k, payload)
		}
		if err != nil {
			return err
		}
	}
}

// lister walks the list of groups of a backup without reading anything else.
type lister struct {
	b    *backupFile
	off  int64
	rest []byte
	done bool
}

func (b *backupFile) list() *lister { return &lister{b: b, off: backupPreamble} }

// next returns the next group and the hash of its tag block.
func (l *lister) next() (group uint64, hash [32]byte, ok bool, err error) {
	for len(l.rest) == 0 {
		if l.done {
			return 0, hash, false, nil
		}
		if err := l.advance(); err != nil {
			return 0, hash, false, err
		}
	}
	e := l.rest[:backupListEntry]
	l.rest = l.rest[backupListEntry:]
	return binary.LittleEndian.Uint64(e), [32]byte(e[8:]), true, nil
}

// advance goes over one record, and reads it if it is a list.
func (l *lister) advance() error {
	var head [backupRecordHeader]byte
	if err := readFull(l.b.f, head[:], l.off); err != nil {
		return fmt.Errorf("blockstore: read the backup: %w", err)
	}
	h, ok := decodeRecordHead(head[:])
	least, most := h.kind.bounds(l.b.start.blockSize)
	if !ok || h.length < least || h.length > most {
		return backupError(l.off, "no record is here", fault.Damaged)
	}
	switch h.kind {
	case backupList:
		l.rest = make([]byte, h.length)
		if err := readFull(l.b.f, l.rest, l.off+backupRecordHeader); err != nil {
			return fmt.Errorf("blockstore: read the backup: %w", err)
		}
		if h.crc != backupCRC(head[:], l.rest) || h.length%backupListEntry != 0 {
			return backupError(l.off, "a record's checksum is wrong", fault.Damaged)
		}
	case backupHead, backupGroup:
	default:
		l.done = true
	}
	l.off += backupRecordHeader + int64(h.length)
	return nil
}

// InspectBackup says what a backup is. It needs no key, reads its beginning and its end only, and writes nothing.
func InspectBackup(path string, o *Options) (*BackupInfo, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b, err := openBackup(opts.FS, path)
	if err != nil {
		return nil, err
	}
	i := backupInfo(b.start, b.finish, b.size)
	return &i, b.close()
}
