package keyfile

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// decode reads a file as far as that goes without a key: is it ours, is the
// version known, does the checksum hold, is every field within bounds.
func decode(data []byte) (*content, error) {
	if err := checkFrame(data); err != nil {
		return nil, err
	}
	return parse(data)
}

// checkFrame checks what surrounds the fields, in the order of FORMAT.md:
// magic, version, length, checksum.
func checkFrame(data []byte) error {
	switch {
	case len(data) < len(magic) || string(data[:len(magic)]) != magic:
		return fmt.Errorf("keyfile: %w: it does not begin with %q", fault.NotFormat, magic)
	case len(data) < len(magic)+2:
		return damaged("cut short")
	case le.Uint16(data[8:]) != formatVersion:
		return fmt.Errorf("keyfile: %w: %d; this build reads %d", fault.Version, le.Uint16(data[8:]), formatVersion)
	case len(data) > MaxFileSize:
		return damaged("longer than a key file can be (%d bytes)", MaxFileSize)
	case len(data) < minFileSize || uint64(len(data)) < uint64(le.Uint32(data[12:])):
		return damaged("cut short at %d bytes", len(data))
	case uint64(len(data)) > uint64(le.Uint32(data[12:])):
		return damaged("%d bytes follow the end", uint64(len(data))-uint64(le.Uint32(data[12:])))
	}
	n := len(data) - crcSize
	if got, want := crc32.Checksum(data[:n], castagnoli), le.Uint32(data[n:]); got != want {
		return damaged("checksum is %08X, %08X expected", got, want)
	}
	return nil
}

// cursor walks over the fields. After the first that is cut short or out of
// bounds, err is set, and take gives zeros.
type cursor struct {
	rest []byte
	err  error
}

func (r *cursor) fail(format string, args ...any) {
	if r.err == nil {
		r.err = damaged(format, args...)
	}
}

func (r *cursor) take(n int) []byte {
	if r.err == nil && len(r.rest) < n {
		r.fail("a field is cut short")
	}
	if r.err != nil {
		return make([]byte, n) // n is bounded by the callers, at most MaxDescription
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursor) zero(n int) {
	if slices.ContainsFunc(r.take(n), func(b byte) bool { return b != 0 }) {
		r.fail("a reserved byte is not zero")
	}
}

func (r *cursor) text(n int, what string) string {
	if n > MaxDescription {
		r.fail("%s has %d bytes, at most %d are possible", what, n, MaxDescription)
		return ""
	}
	s := string(r.take(n))
	if r.err == nil && checkText(s) != nil {
		r.fail("%s is not printable UTF-8", what)
	}
	return s
}

// parse reads the fields. With an error it returns what it read up to there.
func parse(data []byte) (*content, error) {
	c := &content{}
	if len(data) < headerSize+trailerSize {
		return c, damaged("cut short at %d bytes", len(data))
	}
	if f := le.Uint16(data[10:]); f != 0 {
		return c, fmt.Errorf("keyfile: %w: flags %04X are unknown", fault.Version, f)
	}
	r := &cursor{rest: data[16 : len(data)-trailerSize]}
	c.generation = le.Uint64(r.take(8))
	c.guid = [16]byte(r.take(16))
	admins, keys := int(le.Uint16(r.take(2))), int(le.Uint16(r.take(2)))
	descLen := int(le.Uint16(r.take(2)))
	r.zero(headerSize - 46)
	switch {
	case c.generation == 0 || c.generation == math.MaxUint64:
		r.fail("generation %d is impossible", c.generation)
	case c.guid == [16]byte{}:
		r.fail("the file's GUID is zero")
	case admins < 1 || admins > MaxAdmins:
		r.fail("%d administrators, 1 to %d are possible", admins, MaxAdmins)
	case keys < 1 || keys > MaxKeys:
		r.fail("%d keys, 1 to %d are possible", keys, MaxKeys)
	}
	c.description = r.text(descLen, "the description")
	for i := 0; i < admins && r.err == nil; i++ {
		c.parseAdmin(r)
	}
	for i := 0; i < keys && r.err == nil; i++ {
		c.parseKey(r)
	}
	if len(r.rest) > 0 {
		r.fail("%d bytes belong to no field", len(r.rest))
	}
	c.checkMarks(r)
	return c, r.err
}

func (c *content) parseAdmin(r *cursor) {
	a := adminRecord{iterations: le.Uint32(r.take(4))}
	nameLen := int(r.take(1)[0])
	r.zero(3)
	copy(a.salt[:], r.take(saltSize))
	copy(a.wrapped[:], r.take(wrappedKEK))
	a.name = string(r.take(nameLen))
	if r.err != nil {
		return
	}
	name, err := canonicalName(a.name)
	switch {
	case err != nil || name != a.name:
		r.fail("administrator %d: the name is not in the form it is stored in", len(c.admins)+1)
	case c.findAdmin(name) >= 0:
		r.fail("two administrators have the name %s", name)
	case a.iterations < MinIterations || a.iterations > MaxIterations:
		r.fail("administrator %s: %d iterations, %d to %d are possible", name, a.iterations, MinIterations, MaxIterations)
	default:
		c.admins = append(c.admins, a)
	}
}

func (c *content) parseKey(r *cursor) {
	k := keyRecord{id: dek.ID(r.take(16)), created: le.Uint64(r.take(8)), bits: le.Uint16(r.take(2)), flags: le.Uint16(r.take(2))}
	descLen := int(le.Uint16(r.take(2)))
	r.zero(2)
	if !dek.ValidBits(int(k.bits)) {
		r.fail("key %d has %d bits", len(c.keys)+1, k.bits)
		return
	}
	k.wrapped = slices.Clone(r.take(int(k.bits)/8 + dek.WrapOverhead))
	k.description = r.text(descLen, "a key's description")
	switch {
	case r.err != nil:
	case k.id.IsZero():
		r.fail("key %d has no ID", len(c.keys)+1)
	case c.findKey(k.id) >= 0:
		r.fail("key %s is there twice", k.id)
	case k.created > maxCreated:
		r.fail("key %s: date out of range", k.id)
	case k.flags&^flagsDefined != 0:
		r.fail("key %s: unknown flags %04X", k.id, k.flags)
	default:
		c.keys = append(c.keys, k)
	}
}

// checkMarks wants one default and one journal key.
func (c *content) checkMarks(r *cursor) {
	count := map[uint16]int{}
	for _, k := range c.keys {
		count[k.flags&flagDefault]++
		count[k.flags&flagJournal]++
	}
	if count[flagDefault] != 1 || count[flagJournal] != 1 {
		r.fail("%d default keys and %d journal keys, one of each is needed", count[flagDefault], count[flagJournal])
	}
}
