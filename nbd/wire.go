package nbd

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// All numbers of the protocol are big-endian.
var be = binary.BigEndian

// request is a request without its data.
type request struct {
	flags  uint16
	cmd    uint16
	cookie uint64
	off    uint64
	n      uint32
}

// parseRequest reads the header of a request.
func parseRequest(b *[requestSize]byte) (request, error) {
	if m := be.Uint32(b[:]); m != magicRequest {
		return request{}, fmt.Errorf("%w: a request begins with %#x", ErrProtocol, m)
	}
	return request{be.Uint16(b[4:]), be.Uint16(b[6:]), be.Uint64(b[8:]), be.Uint64(b[16:]), be.Uint32(b[24:])}, nil
}

// fields reads the data of an option from its beginning. What does not fit sets bad.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.b) {
		f.bad, f.b = true, nil
		return nil
	}
	out := f.b[:n]
	f.b = f.b[n:]
	return out
}

func (f *fields) u16() uint16 {
	if b := f.take(2); b != nil {
		return be.Uint16(b)
	}
	return 0
}

func (f *fields) u32() uint32 {
	if b := f.take(4); b != nil {
		return be.Uint32(b)
	}
	return 0
}

// text is a string with its length before it.
func (f *fields) text() string {
	n := f.u32()
	if n > maxString {
		f.bad = true
		return ""
	}
	return string(f.take(int(n)))
}

// over reports whether all was read, and nothing was missing.
func (f *fields) over() bool { return !f.bad && len(f.b) == 0 }

// parseGo reads the data of INFO and GO: the export's name and what is asked.
func parseGo(data []byte) (name string, asked []uint16, ok bool) {
	f := fields{b: data}
	name = f.text()
	for range f.u16() {
		if f.bad {
			break
		}
		asked = append(asked, f.u16())
	}
	return name, asked, f.over()
}

// parseMeta reads the data of LIST_META_CONTEXT and SET_META_CONTEXT.
func parseMeta(data []byte) (name string, queries []string, ok bool) {
	f := fields{b: data}
	name = f.text()
	n := f.u32()
	for range n {
		if f.bad {
			break
		}
		queries = append(queries, f.text())
	}
	return name, queries, f.over()
}

// appendSimple makes a simple reply without data.
func appendSimple(b []byte, e Errno, cookie uint64) []byte {
	b = be.AppendUint32(b, magicSimple)
	b = be.AppendUint32(b, uint32(e))
	return be.AppendUint64(b, cookie)
}

// appendChunk makes the header of a chunk with n bytes of data.
func appendChunk(b []byte, flags, kind uint16, cookie uint64, n int) []byte {
	b = be.AppendUint32(b, magicStructured)
	b = be.AppendUint16(b, flags)
	b = be.AppendUint16(b, kind)
	b = be.AppendUint64(b, cookie)
	return be.AppendUint32(b, uint32(n))
}

// appendError makes an error chunk, the last one of its reply.
func appendError(b []byte, e Errno, cookie uint64) []byte {
	text := e.Error()
	b = appendChunk(b, replyDone, chunkError, cookie, 6+len(text))
	b = be.AppendUint32(b, uint32(e))
	b = be.AppendUint16(b, uint16(len(text)))
	return append(b, text...)
}

// matches reports whether a query of LIST, or with exact one of SET, is for base:allocation.
func matches(query string, exact bool) bool {
	return query == contextAllocation || !exact && query == "base:"
}

func anyMatches(queries []string, exact bool) bool {
	return slices.ContainsFunc(queries, func(q string) bool { return matches(q, exact) })
}
