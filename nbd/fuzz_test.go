package nbd

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tape is a connection whose client has said everything already.
type tape struct {
	in  *bytes.Reader
	out bytes.Buffer
}

var _ net.Conn = (*tape)(nil)

func (c *tape) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *tape) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *tape) Close() error                     { return nil }
func (c *tape) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (c *tape) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (c *tape) SetDeadline(time.Time) error      { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

const clientFlags = "\x00\x00\x00\x03"

func optionBytes(code uint32, data string) string {
	b := be.AppendUint32(be.AppendUint64(nil, magicOption), code)
	return string(be.AppendUint32(b, uint32(len(data)))) + data
}

func requestBytes(cmd, flags uint16, off uint64, n uint32, data string) string {
	r := request{flags, cmd, 0x0102030405060708, off, n}
	return string(r.append(nil)) + data
}

// append is the opposite of parseRequest.
func (r *request) append(b []byte) []byte {
	b = be.AppendUint32(b, magicRequest)
	b = be.AppendUint16(b, r.flags)
	b = be.AppendUint16(b, r.cmd)
	b = be.AppendUint64(b, r.cookie)
	b = be.AppendUint64(b, r.off)
	return be.AppendUint32(b, r.n)
}

const goDefault = "\x00\x00\x00\x00\x00\x01\x00\x03"

// FuzzServer plays whatever a client may say to a server with a small device: it
// must come to an end, and what it answers must be replies and nothing else.
func FuzzServer(f *testing.F) {
	begin := clientFlags + optionBytes(optGo, goDefault)
	structured := clientFlags + optionBytes(optStructuredReply, "") +
		optionBytes(optSetMeta, "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0fbase:allocation") + optionBytes(optGo, goDefault)
	requests := requestBytes(cmdWrite, cmdFlagFUA, 100, 5, "hello") + requestBytes(cmdRead, 0, 98, 10, "") + requestBytes(cmdFlush, 0, 0, 0, "") +
		requestBytes(cmdTrim, 0, 0, 4096, "") + requestBytes(cmdWriteZeroes, cmdFlagNoHole, 1, 4097, "") + requestBytes(cmdCache, 0, 0, 9999, "") +
		requestBytes(cmdBlockStatus, cmdFlagReqOne, 0, 65536, "") + requestBytes(cmdRead, 0, 1<<63, 1<<31, "") + requestBytes(99, 0xffff, 0, 0, "") +
		requestBytes(cmdWrite, 0, 65530, 10, "past the e")
	for _, s := range []string{
		"", clientFlags, begin, begin + requests + requestBytes(cmdDisc, 0, 0, 0, ""), structured + requests,
		clientFlags + optionBytes(optExportName, "") + requests, clientFlags + optionBytes(optList, "") + optionBytes(optAbort, ""),
		clientFlags + optionBytes(optStartTLS, "") + optionBytes(optInfo, goDefault), "\x00\x00\x00\x01" + optionBytes(optExportName, ""),
		begin + requestBytes(cmdWrite, 0, 0, 5, "cut"), begin + requestBytes(cmdWrite, 0, 0, 1<<30, ""),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		d := &mapped{memory{b: make([]byte, 65536)}}
		s, err := NewServer(d, Options{MaxRequests: 2})
		require.NoError(t, err)
		nc := &tape{in: bytes.NewReader(said)}
		newConn(s, nc).serve()
		require.Len(t, d.b, 65536)
		checkAnswers(t, nc.out.Bytes())
	})
}

// mapped is a device whose first half is a hole.
type mapped struct{ memory }

var _ Mapper = (*mapped)(nil)

func (m *mapped) Extent(off, n int64) (int64, bool, error) {
	if half := int64(len(m.b) / 2); off < half {
		return min(n, half-off), true, nil
	}
	return n, false, nil
}

// checkAnswers reads everything a server said. Data of simple replies to reads
// cannot be told from what follows: there it stops.
func checkAnswers(t *testing.T, b []byte) {
	require.GreaterOrEqual(t, len(b), 18)
	b = b[18:]
	for len(b) >= 20 && be.Uint64(b) == magicReply {
		n := int(be.Uint32(b[16:]))
		require.LessOrEqual(t, n, len(b)-20)
		b = b[20+n:]
	}
	for len(b) >= 20 && be.Uint32(b) == magicStructured {
		n := int(be.Uint32(b[16:]))
		require.LessOrEqual(t, n, len(b)-20)
		require.Equal(t, uint16(replyDone), be.Uint16(b[4:]))
		b = b[20+n:]
	}
	if len(b) > 0 && len(b) < 4 {
		t.Fatalf("%x is no answer", b)
	}
}

// FuzzOptionData: what is taken apart can be put together again, to the byte.
func FuzzOptionData(f *testing.F) {
	f.Add([]byte(goDefault))
	f.Add([]byte("\x00\x00\x00\x01x\x00\x02\x00\x00\x00\x03"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x0fbase:allocation\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff"))
	text := func(b []byte, s string) []byte { return append(be.AppendUint32(b, uint32(len(s))), s...) }
	f.Fuzz(func(t *testing.T, data []byte) {
		if name, asked, ok := parseGo(data); ok {
			b := be.AppendUint16(text(nil, name), uint16(len(asked)))
			for _, a := range asked {
				b = be.AppendUint16(b, a)
			}
			require.Equal(t, data, b)
		}
		if name, queries, ok := parseMeta(data); ok {
			b := be.AppendUint32(text(nil, name), uint32(len(queries)))
			for _, q := range queries {
				b = text(b, q)
			}
			require.Equal(t, data, b)
		}
	})
}

// FuzzRequest: the same of requests.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(requestBytes(cmdWrite, cmdFlagFUA, 1<<40, 4096, "")))
	f.Add(make([]byte, requestSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < requestSize {
			return
		}
		r, err := parseRequest((*[requestSize]byte)(b))
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)
			return
		}
		require.Equal(t, b[:requestSize], r.append(nil))
	})
}
