package formattest

import (
	"bytes"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
)

// label is what the label says.
type label struct {
	structure
	slots   [8]*keySlot // nil where free
	journal map[[16]byte]bool
	lineage map[[16]byte]bool
}

type keySlot struct {
	suite  byte
	key    [16]byte
	dek    []byte
	epochs map[uint32][]byte // salts
}

// readLabel is FORMAT.md, "Opening", steps 2 and 4: the newest whole copy, authenticated.
func readLabel(volume io.ReaderAt, have keys) (*label, error) {
	var best *label
	var problems error
	for _, off := range []int64{0, 65536} {
		b := make([]byte, 8192)
		if _, err := volume.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		l, err := parseLabel(b)
		switch {
		case err != nil:
			problems = errors.Join(problems, fmt.Errorf("label at %d: %w", off, err))
		case best == nil || l.num("generation") > best.num("generation"):
			best = l
		}
	}
	if best == nil {
		return nil, problems
	}
	return best, best.authenticate(have)
}

func parseLabel(b []byte) (*label, error) {
	l := &label{structure: doc.in("label", b), journal: map[[16]byte]bool{}, lineage: map[[16]byte]bool{}}
	if err := l.check(); err != nil {
		return nil, err
	}
	if l.num("read version") != 1 || l.num("write version") != 1 || l.num("checksum") != crc(b[:l.off("checksum")]) {
		return nil, errors.New("version or checksum")
	}
	for i := range l.slots {
		k, err := parseKeySlot(l.bytes("key slots")[512*i:][:512])
		if err != nil {
			return nil, fmt.Errorf("key slot %d: %w", i, err)
		}
		l.slots[i] = k
	}
	ids, sessions := l.bytes("journal key IDs"), l.bytes("lineage")
	for range l.num("journal keys") {
		l.journal[[16]byte(ids)] = true
		ids = ids[16:]
	}
	for range l.num("sessions") {
		l.lineage[doc.in("session", sessions).uuid("session")] = true
		sessions = sessions[32:]
	}
	if !zero(ids) || !zero(sessions) || len(l.journal) == 0 || len(l.lineage) == 0 {
		return nil, errors.New("journal keys or lineage")
	}
	return l, l.rules()
}

func parseKeySlot(b []byte) (*keySlot, error) {
	s := doc.in("key slot", b)
	if s.num("state") == 0 {
		if !zero(b) {
			return nil, errors.New("free, and not zero")
		}
		return nil, nil
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	k := &keySlot{suite: byte(s.num("suite")), key: s.uuid("key"), epochs: map[uint32][]byte{}}
	list := s.bytes("epoch list")
	for i := range int(s.num("epochs")) {
		e := doc.in("epoch", list[48*i:][:48])
		if err := e.check(); err != nil {
			return nil, err
		}
		k.epochs[uint32(e.num("number"))] = e.bytes("salt")
	}
	plain := k.suite == 4
	if s.num("state") != 1 || k.suite < 1 || k.suite > 4 || len(k.epochs) == 0 || !zero(list[48*len(k.epochs):]) ||
		plain != (s.num("key length") == 0) || plain && !zero(s.bytes("check value")) {
		return nil, errors.New("breaks a rule")
	}
	return k, nil
}

// rules are those across fields.
func (l *label) rules() error {
	b := l.num("block size")
	w, m, from, to := l.num("write slot"), l.num("MAC slot"), l.num("conversion from"), l.num("conversion to")
	ok := b >= 4096 && b <= 65536 && b&(b-1) == 0 && l.num("blocks") == (l.num("size")+b-1)/b &&
		l.slots[w] != nil && l.slots[m] != nil && l.num("flags") <= 3 && l.num("height") >= 1 && l.num("height") <= 4
	switch l.num("conversion") {
	case 0:
		ok = ok && w == m && from == 0 && to == 0
	case 1, 3:
		ok = ok && w == to && m == to && from != to
	case 2:
		ok = ok && m == from && (w == from || w == to) && from != to && l.slots[to].suite == 4
	default:
		ok = false
	}
	for _, name := range []string{"generation", "redo segment", "redo sequence", "must reach", "durable through"} {
		ok = ok && l.num(name) <= 1<<62
	}
	if l.num("root present") == 0 {
		ok = ok && l.num("root slot") == 0 && zero(l.bytes("root hash"))
	}
	if !ok {
		return errors.New("a rule across fields is broken")
	}
	return nil
}

func (l *label) authenticate(have keys) error {
	for i, k := range l.slots {
		if k == nil || k.suite == 4 {
			continue
		}
		s := doc.in("key slot", l.bytes("key slots")[512*i:][:512])
		if k.dek = have[k.key]; k.dek == nil {
			return fmt.Errorf("key %x is not there", k.key)
		}
		if len(k.dek) != int(s.num("key length")) || !bytes.Equal(checkValue(k.dek, l.uuid("volume")), s.bytes("check value")) {
			return fmt.Errorf("key %x is another one", k.key)
		}
	}
	mac := labelMAC(l.slots[l.num("MAC slot")].dek, l.uuid("volume"), l.b[:l.off("MAC")])
	if !hmac.Equal(mac, l.bytes("MAC")) {
		return errors.New("the label is altered")
	}
	return nil
}
