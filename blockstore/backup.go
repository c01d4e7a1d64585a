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
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/journal"
)

// BackupOptions of a backup.
type BackupOptions struct {
	// Base is the path of an earlier backup of the volume, full or not: only what
	// changed since is in the new one, which cannot be restored without it. Empty makes a full backup.
	Base string
	// Progress, where set, is told now and then how many of how many blocks were looked at.
	Progress func(done, total uint64)
}

// Backup writes a backup of the volume to w, while the volume is used: the state
// of a moment shortly before it returns, which [Restore] brings back. Blocks and
// journal frames are copied as they are encrypted; whoever has the keys in
// BackupInfo.Keys can restore it. It is not recorded in the volume:
// [Store.BackupTo] does that, or [Store.RecordBackup].
//
// Commits do not wait for w. The journal keeps what was committed meanwhile, so
// that a slow writer costs space. There is one backup at a time ([ErrState]); the
// last step of a conversion waits for it. A base that is not of this volume's history is
// refused ([ErrState]), a block that is damaged too ([ErrDamaged]). Memory is
// bounded: a group of 168 blocks. An error, or the end of ctx, leaves the store as it was; what w holds is then no backup.
func (s *Store) Backup(ctx context.Context, w io.Writer, o BackupOptions) (*BackupInfo, error) {
	if err := s.enterWrite(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	ctx, err := s.backups.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.backups.end()
	b := &backup{s: s, o: o, w: bufio.NewWriterSize(w, 64<<10), hash: sha256.New()}
	info, err := b.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("blockstore: backup: %w", err)
	}
	return info, nil
}

// backup is one under way.
type backup struct {
	s    *Store
	o    BackupOptions
	w    *bufio.Writer
	hash hash.Hash
	size int64

	start  backupStart
	finish backupFinish
	first  *label // as of the beginning
	base   *backupFile
	bases  baseGroups
	list   []byte // entries not yet written
	buf    []byte // of a group
	segKey []dek.ID
}

func (b *backup) run(ctx context.Context) (_ *BackupInfo, err error) {
	s := b.s
	if err := s.settleAll(ctx, checkpointRequest{}); err != nil {
		return nil, err
	}
	if err := b.hold(); err != nil {
		return nil, err
	}
	defer s.letGo()
	if b.o.Base != "" {
		if err := b.openBase(); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.base.close()) }()
	}
	if err := b.preamble(); err != nil {
		return nil, err
	}
	if err := b.groups(ctx); err != nil {
		return nil, err
	}
	if err := b.frames(ctx); err != nil {
		return nil, err
	}
	i := backupInfo(&b.start, &b.finish, b.size)
	return &i, nil
}

// hold chooses where the backup begins, the redo position, and keeps the journal from there on.
func (b *backup) hold() error {
	s := b.s
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	l := s.label.Load()
	if err := s.journal.Hold(l.redo.Segment); err != nil {
		return err
	}
	b.first = l
	b.start = backupStart{id: NewUUID(), volume: l.volume, blockSize: l.blockSize, size: l.size, began: seconds(s.opts.Tune.Now()),
		from: l.redo, session: l.last(), stream: l.stream}
	b.finish.id = b.start.id
	return nil
}

// letGo ends the hold on the journal, and gives up what was kept for it.
func (s *Store) letGo() {
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	s.journal.LetGo()
	if s.usable() != nil {
		return
	}
	if err := s.journal.Release(context.Background(), s.label.Load().redo, false); err != nil { // the next checkpoint tries again
		s.opts.Logger.Warn("coffer: journal segments kept for a backup were not released", "volume", s.volume.String(), "cause", err)
	}
}

func (b *backup) preamble() error {
	p := make([]byte, backupPreamble)
	copy(p, backupMagic)
	binary.LittleEndian.PutUint16(p[8:], backupVersion)
	if err := b.write(p); err != nil {
		return err
	}
	return b.record(backupHead, b.start.encode())
}

func (b *backup) write(p []byte) error {
	b.hash.Write(p)
	b.size += int64(len(p))
	if _, err := b.w.Write(p); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (b *backup) record(k backupKind, payload []byte) error {
	h := recordHead{kind: k, number: b.finish.records}
	head := h.encode(payload)
	b.finish.records++
	if err := b.write(head[:]); err != nil {
		return err
	}
	return b.write(payload)
}

// groups copies every group that was ever written, or changed since the base.
func (b *backup) groups(ctx context.Context) error {
	s := b.s
	blocks := b.first.blocks()
	walk := &groupWalk{tree: s.meta, end: groupsFor(blocks)}
	for g, ok := walk.take(); ok; g, ok = walk.take() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.usable(); err != nil {
			return err
		}
		if err := b.group(g); err != nil {
			return err
		}
		if b.o.Progress != nil {
			b.o.Progress(min((g+1)*perGroup, blocks), blocks)
		}
	}
	return b.flushList()
}

// group copies one group as of the last checkpoint; none runs while it is read.
func (b *backup) group(g uint64) error {
	known, err := b.bases.find(g)
	if err != nil {
		return err
	}
	payload, hash, err := b.readGroup(g, known)
	if err != nil || hash == nil {
		return err
	}
	b.list = binary.LittleEndian.AppendUint64(b.list, g)
	b.list = append(b.list, hash[:]...)
	b.finish.listed++
	if payload != nil {
		if err := b.checkGroup(payload); err != nil {
			return err
		}
		if err := b.record(backupGroup, payload); err != nil {
			return err
		}
		b.finish.groups++
	}
	if len(b.list) == backupListEntry*backupListMost {
		return b.flushList()
	}
	return nil
}

func (b *backup) flushList() error {
	if len(b.list) == 0 {
		return nil
	}
	defer func() { b.list = b.list[:0] }()
	return b.record(backupList, b.list)
}

// readGroup returns the hash of a group's tag block, nil where there is none,
// and its record, nil where the base has a tag block of that hash.
func (b *backup) readGroup(g uint64, known *[32]byte) ([]byte, *[32]byte, error) {
	s := b.s
	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	ref, err := s.meta.named(metaKey{0, g})
	if err != nil || !ref.present {
		return nil, nil, err
	}
	if known != nil && *known == ref.hash {
		return nil, &ref.hash, nil
	}
	m, err := s.meta.get(metaKey{0, g})
	if err != nil {
		return nil, nil, err
	}
	bs := int(s.lay.blockSize)
	if b.buf == nil {
		b.buf = make([]byte, backupGroupFixed+perGroup*bs)
	}
	binary.LittleEndian.PutUint64(b.buf, g)
	copy(b.buf[8:], m.data)
	bitmap := b.buf[8+metaSize:][:backupBitmap]
	clear(bitmap)
	var wanted []uint64
	for i := range perGroup {
		r, err := m.record(i)
		if err != nil {
			return nil, nil, err
		}
		if r.kind == recordData && (b.base == nil || r.version > b.start.baseSeq) {
			bitmap[i/8] |= 1 << (i % 8)
			wanted = append(wanted, g*perGroup+uint64(i))
		}
	}
	return b.buf[:backupGroupFixed+len(wanted)*bs], &ref.hash, b.readBlocks(wanted)
}

// readBlocks reads blocks of one group behind each other into the buffer, adjacent ones with one read.
func (b *backup) readBlocks(wanted []uint64) error {
	bs := int(b.s.lay.blockSize)
	dst := b.buf[backupGroupFixed:]
	for i := 0; i < len(wanted); {
		j := i + 1
		for j < len(wanted) && wanted[j] == wanted[j-1]+1 {
			j++
		}
		if err := readFull(b.s.file, dst[i*bs:j*bs], b.s.lay.block(wanted[i])); err != nil {
			return &BlockError{"back up", wanted[i], err}
		}
		i = j
	}
	return nil
}

// checkGroup compares the blocks with the checksums in their records: a backup does not carry damage on.
func (b *backup) checkGroup(payload []byte) error {
	bs := int(b.s.lay.blockSize)
	g, err := decodeGroup(payload, bs)
	if err != nil {
		return err
	}
	tag := &metaBlock{key: metaKey{0, g.number}, data: g.tag}
	return g.each(bs, func(i int, data []byte) error {
		r, err := tag.record(i)
		if err == nil && seal.Checksum(data) != r.crc {
			err = fmt.Errorf("checksum of the ciphertext is wrong: %w", fault.Damaged)
		}
		if err != nil {
			return fault.Hint(&BlockError{"back up", g.number*perGroup + uint64(i), err},
				"coffer verify lists what is damaged; a backup is only made of a volume that is whole")
		}
		b.finish.blocks++
		return nil
	})
}

// frames copies the journal up to the durable end, and ends the backup.
func (b *backup) frames(ctx context.Context) error {
	s := b.s
	s.ckptMu.Lock() // label and end belong together
	l, end := s.label.Load(), s.journal.Durable()
	s.mu.RLock()
	b.finish.size = s.over.sizeAt(end.Seq)
	s.mu.RUnlock()
	s.ckptMu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := stillListed(b.first, l); err != nil {
		return err
	}
	if err := s.journal.Copy(ctx, b.start.from.Segment, end, b); err != nil {
		return err
	}
	raw := l.encode()
	key := s.ciphers.key(l.macSlot)
	err := signLabel(raw, key, s.volume)
	if err != nil {
		return err
	}
	if err := b.record(backupLabel, raw); err != nil {
		return err
	}
	f := &b.finish
	if f.keys, err = neededKeys(l, b.segKey); err != nil {
		return err
	}
	f.ended, f.end = seconds(s.opts.Tune.Now()), end
	f.hash = [32]byte(b.hash.Sum(nil))
	return b.end(key)
}

func (b *backup) end(key *dek.Key) error {
	b.finish.records++ // its own too
	last := b.finish.encode()
	b.finish.records--
	mac, err := seal.BackupMAC(key, b.s.volume, last[:backupEndMAC])
	if err != nil {
		return err
	}
	copy(last[backupEndMAC:], mac[:])
	if err := b.record(backupEnd, last); err != nil {
		return err
	}
	if err := b.w.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Segment takes the header of a journal segment.
func (b *backup) Segment(header []byte) error {
	b.finish.segments++
	if id := journal.KeyOf(header); !slices.Contains(b.segKey, id) {
		b.segKey = append(b.segKey, id)
	}
	return b.record(backupSegment, header)
}

// Frame takes a frame of it.
func (b *backup) Frame(raw []byte) error {
	b.finish.frames++
	return b.record(backupFrame, raw)
}

var _ journal.Copier = (*backup)(nil)
