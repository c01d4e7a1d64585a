package blockstore

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/journal"
)

// Anchor names one durable state of a volume. Kept apart from the volume, it
// makes a rollback of the whole volume, or of the journal's tail, visible: an
// open with Options.ExpectAnchor accepts only a state whose history contains it.
type Anchor struct {
	Volume  UUID
	Session UUID     // read-write open during which the state was reached
	Ordinal uint64   // number of that session in the volume's history
	Seq     uint64   // journal sequence
	Chain   [32]byte // chain value at Seq
}

const anchorPrefix = "coffer-anchor-1."

// String returns the token, printable and without spaces.
func (a Anchor) String() string {
	b := make([]byte, 0, 80)
	b = append(b, a.Volume[:]...)
	b = append(b, a.Session[:]...)
	b = binary.LittleEndian.AppendUint64(b, a.Ordinal)
	b = binary.LittleEndian.AppendUint64(b, a.Seq)
	b = append(b, a.Chain[:]...)
	return anchorPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseAnchor reads a token.
func ParseAnchor(token string) (Anchor, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(token), anchorPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(b) != 80 || strings.ContainsAny(rest, "\r\n") { // which the decoder passes over
		return Anchor{}, fmt.Errorf("blockstore: not an anchor, which begins with %q: %w", anchorPrefix, fault.Usage)
	}
	return Anchor{UUID(b[:16]), UUID(b[16:32]), binary.LittleEndian.Uint64(b[32:]), binary.LittleEndian.Uint64(b[40:]), [32]byte(b[48:])}, nil
}

// MarshalText returns the token.
func (a Anchor) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads a token.
func (a *Anchor) UnmarshalText(text []byte) error {
	v, err := ParseAnchor(string(text))
	if err == nil {
		*a = v
	}
	return err
}

// Anchor returns the anchor of the durable head.
func (s *Store) Anchor() Anchor {
	pos := s.ended
	if s.journal != nil {
		pos = s.journal.Durable()
	}
	return s.anchorAt(pos)
}

// anchorAt returns the anchor of a durable state of this session.
func (s *Store) anchorAt(pos journal.Position) Anchor {
	last := s.label.Load().last()
	return Anchor{s.volume, last.id, last.ordinal, pos.Seq, pos.Chain}
}

// checkAnchor decides whether the history that was found contains the expected anchor.
func (s *Store) checkAnchor(l *label, r *replay) error {
	if s.opts.ExpectAnchor == nil {
		return nil
	}
	return explainAnchor(l, containsAnchor(l, r.end, r.anchor, *s.opts.ExpectAnchor))
}

// explainAnchor adds what to do where an anchor was refused.
func explainAnchor(l *label, err error) error {
	if !errors.Is(err, fault.Tampered) {
		return err
	}
	if l.restored != 0 {
		return fault.Hint(fmt.Errorf("%w (the volume was restored from a backup, up to sequence %d)", err, l.restoredAt()),
			"this is a restored state: anchors saved of what came after the backup do not fit it. If you restored it, save a new anchor; else find the right volume")
	}
	return fault.Hint(err, "an older or other copy of the volume, or of its journal, was put in its place; find the right one")
}

// restoredAt is the sequence up to which the last restore went, as far as the lineage still says.
func (l *label) restoredAt() uint64 {
	for _, e := range l.lineage {
		if e.ordinal == l.restored {
			return e.first - 1
		}
	}
	return 0
}

// containsAnchor decides whether the history of a label that ends at end contains an
// anchor; chain, where it is not nil, is the chain value seen at its sequence.
func containsAnchor(l *label, end journal.Position, chain *[32]byte, a Anchor) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("blockstore: not the history the anchor is of: "+format+": %w", append(args, fault.Tampered)...)
	}
	if a.Volume != l.volume {
		return refuse("it names volume %v, this is %v", a.Volume, l.volume)
	}
	if a.Ordinal < l.lineage[0].ordinal {
		return fmt.Errorf("blockstore: the anchor is %d sessions old, the volume remembers %d: %w",
			l.last().ordinal-a.Ordinal, len(l.lineage), fault.TooOld)
	}
	limit, found := end.Seq, false
	for i, e := range l.lineage {
		if e.id != a.Session || e.ordinal != a.Ordinal {
			continue
		}
		found = true
		if i+1 < len(l.lineage) {
			limit = min(limit, l.lineage[i+1].first-1)
		}
	}
	switch {
	case !found:
		return refuse("its session %v is not in the volume's past", a.Session)
	case a.Seq > limit:
		return refuse("it names sequence %d, that session ends at %d here", a.Seq, limit)
	case a.Seq == l.redo.Seq && a.Chain != l.redo.Chain,
		a.Seq == end.Seq && a.Chain != end.Chain,
		chain != nil && *chain != a.Chain:
		return refuse("sequence %d has another chain value", a.Seq)
	}
	return nil
}
