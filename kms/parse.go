package kms

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// decode reads a file as far as that goes without its key: is it ours, is the
// version known, does the checksum hold, is every field within bounds.
func decode(data []byte) (*content, error) {
	if err := checkFrame(data); err != nil {
		return nil, err
	}
	c := &content{}
	if err := c.parse(data[:len(data)-trailerSize]); err != nil {
		return nil, err
	}
	return c, nil
}

// checkFrame checks what surrounds the fields, in the order of FORMAT.md:
// magic, version, length, checksum.
func checkFrame(data []byte) error {
	switch {
	case len(data) < len(magic) || string(data[:len(magic)]) != magic:
		return fmt.Errorf("kms: %w: it does not begin with %q", fault.NotFormat, magic)
	case len(data) < len(magic)+2:
		return damaged("cut short")
	case le.Uint16(data[8:]) != formatVersion:
		return fmt.Errorf("kms: %w: %d; this build reads %d", fault.Version, le.Uint16(data[8:]), formatVersion)
	case len(data) > MaxFileSize:
		return damaged("longer than a KMS key file can be (%d bytes)", MaxFileSize)
	case len(data) < minFileSize || uint64(len(data)) < uint64(le.Uint32(data[12:])):
		return damaged("cut short at %d bytes", len(data))
	case uint64(len(data)) > uint64(le.Uint32(data[12:])):
		return damaged("%d bytes follow the end", uint64(len(data))-uint64(le.Uint32(data[12:])))
	}
	n := len(data) - crcSize
	if got, want := crc32.Checksum(data[:n], castagnoli), le.Uint32(data[n:]); got != want {
		return damaged("checksum is %08X, %08X expected", got, want)
	}
	if f := le.Uint16(data[10:]); f != 0 {
		return fmt.Errorf("kms: %w: flags %04X are unknown", fault.Version, f)
	}
	return nil
}

// cursor walks over the fields behind the header. After the first that is cut
// short err is set, and take gives nothing.
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
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursor) text(what string, most int) string {
	length := r.take(2)
	if r.err != nil {
		return ""
	}
	s := string(r.take(int(le.Uint16(length))))
	if r.err == nil && checkText(what, s, most) != nil {
		r.fail("%s is not printable UTF-8 of at most %d bytes", what, most)
	}
	return s
}

// parse reads the fields of a body, the header's first.
func (c *content) parse(body []byte) error {
	c.generation = le.Uint64(body[16:])
	c.id = dek.ID(body[24:40])
	c.created, c.rewrapped = le.Uint64(body[40:]), le.Uint64(body[48:])
	c.bits = le.Uint16(body[56:])
	env, blob := int(le.Uint16(body[58:])), int(le.Uint16(body[60:]))
	c.check = [checkSize]byte(body[64:headerSize])
	r := &cursor{rest: body[headerSize:]}
	switch {
	case c.generation == 0 || c.generation == math.MaxUint64:
		r.fail("generation %d is impossible", c.generation)
	case c.id.IsZero():
		r.fail("the key has no ID")
	case c.created > maxCreated || c.rewrapped > maxCreated:
		r.fail("a date is out of range")
	case !dek.ValidBits(int(c.bits)):
		r.fail("the key has %d bits", c.bits)
	case env > MaxEnv:
		r.fail("%d environment entries, at most %d are possible", env, MaxEnv)
	case blob < 1 || blob > MaxWrapped:
		r.fail("the wrapped key has %d bytes, 1 to %d are possible", blob, MaxWrapped)
	case le.Uint16(body[62:]) != 0:
		r.fail("a reserved byte is not zero")
	}
	for _, t := range c.texts() {
		*t.at = r.text("the "+t.name, t.most)
	}
	if r.err == nil && !isProvider(c.place.Provider) {
		r.fail("the provider's name is not one")
	}
	c.parseEnv(r, env)
	c.wrapped.Blob = slices.Clone(r.take(blob))
	if len(r.rest) > 0 {
		r.fail("%d bytes belong to no field", len(r.rest))
	}
	return r.err
}

// parseEnv reads entries NAME=VALUE, which stand in the order of their names.
func (c *content) parseEnv(r *cursor, count int) {
	last := ""
	for i := 0; i < count && r.err == nil; i++ {
		name, value, ok := strings.Cut(r.text("an environment entry", MaxText), "=")
		switch {
		case r.err != nil:
		case !ok || !isEnvName(name):
			r.fail("an environment entry is not NAME=VALUE")
		case name <= last:
			r.fail("environment entries are not in the order of their names")
		default:
			if c.place.Env == nil {
				c.place.Env = make(map[string]string)
			}
			c.place.Env[name] = value
			last = name
		}
	}
}
