package blockstore

import (
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/guid"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/journal"
)

// UUID identifies a volume, a session or a journal stream.
type UUID [guid.Size]byte

// NewUUID returns a random UUID.
func NewUUID() UUID { return guid.New() }

// String returns the text form, upper case.
func (u UUID) String() string { return guid.Format(u) }

// IsZero reports whether u is the zero UUID, which no volume has.
func (u UUID) IsZero() bool { return u == UUID{} }

// MarshalText returns the text form.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the text form.
func (u *UUID) UnmarshalText(text []byte) error {
	v, err := ParseUUID(string(text))
	if err == nil {
		*u = v
	}
	return err
}

// ParseUUID reads the text form in either case.
func ParseUUID(s string) (UUID, error) {
	g, err := guid.Parse(s)
	return g, err
}

// Limits of the label's tables.
const (
	maxSlots       = 8
	maxEpochs      = 9
	maxJournalKeys = 32
	maxLineage     = 64
	noSlot         = 0xff
)

// slotState says what a key slot of the label is for.
type slotState uint8

const (
	slotFree slotState = iota
	slotLive           // blocks may be under it
)

// epoch is one random salt under which blocks of a slot are sealed, with the
// number of seals reserved so far.
type epoch struct {
	number   uint32
	salt     [32]byte
	reserved uint64
}

// keySlot is a key and a suite that blocks of the volume are sealed under.
type keySlot struct {
	state  slotState
	suite  seal.Suite
	bits   int // 0 for suite none
	key    dek.ID
	check  [16]byte // key check value
	epochs []epoch  // oldest first; seals use the last
}

func (k *keySlot) current() *epoch { return &k.epochs[len(k.epochs)-1] }

func (k *keySlot) epoch(number uint32) *epoch {
	for i := range k.epochs {
		if k.epochs[i].number == number {
			return &k.epochs[i]
		}
	}
	return nil
}

// operation is the direction of a conversion.
type operation uint8

const (
	opNone operation = iota
	opEncrypt
	opDecrypt
	opRekey
)

func (o operation) String() string {
	return [...]string{"", "encrypt", "decrypt", "rekey"}[o]
}

// conversion is the label's record of a conversion under way.
type conversion struct {
	op   operation
	from uint8 // slot
	to   uint8 // slot
}

func (c conversion) weakening() bool { return c.op == opDecrypt }

// session is one read-write open: its random ID, how many there were before
// it, and the first journal sequence it may have written.
type session struct {
	id      UUID
	ordinal uint64
	first   uint64
}

// label is the decoded label, FORMAT.md "Label".
type label struct {
	volume     UUID
	generation uint64
	blockSize  int
	size       int64 // bytes
	clean      bool
	backwards  bool  // the second copy was written before the first
	created    int64 // Unix seconds

	root   childRef
	height uint8

	stream         UUID // of the journal
	redo           journal.Position
	mustReach      uint64 // segment that is known to have been begun
	durableThrough uint64 // sequence known to be durable

	slots       [maxSlots]keySlot
	writeSlot   uint8
	macSlot     uint8
	conv        conversion
	journalKey  dek.ID   // of new segments; zero is plain
	journalKeys []dek.ID // that count from redo on; a zero ID allows plain segments
	lineage     []session

	retain   int32       // journal segments kept for roll-forward; -1 all
	registry registryRef // of backups
	restored uint64      // ordinal of the session that the last restore began; 0 none
}

func (l *label) clone() *label {
	c := *l
	for i := range c.slots {
		c.slots[i].epochs = append([]epoch(nil), l.slots[i].epochs...)
	}
	c.journalKeys = append([]dek.ID(nil), l.journalKeys...)
	c.lineage = append([]session(nil), l.lineage...)
	return &c
}

func (l *label) layout() layout { return layout{int64(l.blockSize)} }

func (l *label) blocks() uint64 { return l.layout().blocks(l.size) }

func (l *label) write() *keySlot { return &l.slots[l.writeSlot] }

// stepBack makes the source of a weakening conversion the write slot again:
// only an explicit resume goes on towards plaintext.
func (l *label) stepBack() {
	if l.conv.weakening() {
		l.writeSlot = l.conv.from
	}
}

// freeSlot returns an unused slot, or noSlot.
func (l *label) freeSlot() uint8 {
	for i := range l.slots {
		if l.slots[i].state == slotFree {
			return uint8(i)
		}
	}
	return noSlot
}

func (l *label) last() session { return l.lineage[len(l.lineage)-1] }

// begin appends a session that starts after sequence seq, dropping the oldest where there is no room.
func (l *label) begin(id UUID, seq uint64) {
	var ordinal uint64
	if n := len(l.lineage); n > 0 {
		ordinal = l.lineage[n-1].ordinal + 1
	}
	if len(l.lineage) == maxLineage {
		l.lineage = append(l.lineage[:0], l.lineage[1:]...)
	}
	l.lineage = append(l.lineage, session{id, ordinal, seq + 1})
}

func (l *label) hasSession(id UUID) bool {
	for _, s := range l.lineage {
		if s.id == id {
			return true
		}
	}
	return false
}

func (l *label) allowsJournalKey(id dek.ID) bool {
	for _, k := range l.journalKeys {
		if k == id {
			return true
		}
	}
	return false
}
