package nbd

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

// refusal is the reply kind with which an option was refused.
func refusal(t *testing.T, err error) uint32 {
	t.Helper()
	var e *nbdclient.OptionError
	require.True(t, errors.As(err, &e), "%v", err)
	require.NotEmpty(t, e.Text)
	return e.Reply
}

func gone(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.ReadAll(c)
	require.NotErrorIs(t, err, net.ErrClosed)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server did not close the connection")
}

func TestOptions(t *testing.T) {
	v := serve(t, &memory{b: make([]byte, 12345)}, Options{Name: "disk", Description: "a test"})
	h := v.raw()
	replies, err := h.Option(optList, nil)
	require.NoError(t, err)
	require.Equal(t, []nbdclient.Reply{{Kind: repServer, Data: []byte("\x00\x00\x00\x04diska test")}}, replies)

	for _, name := range []string{"", "disk"} {
		replies, err = h.Option(optInfo, nbdclient.AskAll(name))
		require.NoError(t, err)
		var i nbdclient.Info
		require.NoError(t, i.Fill(replies))
		require.Equal(t, nbdclient.Info{Size: 12345, Flags: sendHasFlags | sendFlush | sendFUA | sendTrim | sendWriteZeroes | sendMultiConn | sendCache | sendFastZero,
			Name: "disk", Description: "a test", MinBlock: 1, Preferred: 4096, Most: 32 << 20}, i)
	}
	for _, c := range []struct {
		name string
		code uint32
		data string
		want uint32
	}{
		{"unknown export", optGo, "\x00\x00\x00\x01x\x00\x00", repErrUnknown},
		{"name longer than the data", optInfo, "\x00\x00\x00\x09x\x00\x00", repErrInvalid},
		{"name longer than allowed", optInfo, "\xff\xff\xff\xffx\x00\x00", repErrInvalid},
		{"fewer questions than it says", optInfo, "\x00\x00\x00\x00\x00\x02\x00\x00", repErrInvalid},
		{"bytes left over", optInfo, "\x00\x00\x00\x00\x00\x00\x00", repErrInvalid},
		{"no data", optGo, "", repErrInvalid},
		{"list with data", optList, "x", repErrInvalid},
		{"TLS where there is none", optStartTLS, "", repErrPolicy},
		{"structured with data", optStructuredReply, "x", repErrInvalid},
		{"contexts before structured replies", optSetMeta, "\x00\x00\x00\x00\x00\x00\x00\x00", repErrInvalid},
		{"unknown option", 77, "", repErrUnsup},
		{"extended headers", 11, "", repErrUnsup},
	} {
		_, err := h.Option(c.code, []byte(c.data))
		require.Equal(t, c.want, refusal(t, err), c.name)
	}
	replies, err = h.Option(optAbort, []byte("ignored"))
	require.NoError(t, err)
	require.Empty(t, replies)
	gone(t, h.Conn)
}

// TestContexts: base:allocation, of a device that knows its holes.
func TestContexts(t *testing.T) {
	query := func(export string, qs ...string) []byte {
		b := append(be.AppendUint32(nil, uint32(len(export))), export...)
		b = be.AppendUint32(b, uint32(len(qs)))
		for _, q := range qs {
			b = append(be.AppendUint32(b, uint32(len(q))), q...)
		}
		return b
	}
	mapper := serve(t, Volume(newStore(t, memDisk(), 1<<20)), Options{})
	none := serve(t, &memory{b: make([]byte, 1<<20)}, Options{})
	for _, c := range []struct {
		name string
		on   *served
		code uint32
		data []byte
		want int
	}{
		{"all", mapper, optListMeta, query(""), 1},
		{"a namespace", mapper, optListMeta, query("", "base:"), 1},
		{"another namespace", mapper, optListMeta, query("", "qemu:dirty"), 0},
		{"it", mapper, optSetMeta, query("", "x-a:b", "base:allocation"), 1},
		{"nothing to be set", mapper, optSetMeta, query(""), 0},
		{"a wildcard sets nothing", mapper, optSetMeta, query("", "base:"), 0},
		{"a device that knows no holes", none, optSetMeta, query("", "base:allocation"), 0},
	} {
		h := c.on.raw()
		_, err := h.Option(optStructuredReply, nil)
		require.NoError(t, err)
		replies, err := h.Option(c.code, c.data)
		require.NoError(t, err, c.name)
		require.Len(t, replies, c.want, c.name)
	}
	h := mapper.raw()
	_, err := h.Option(optStructuredReply, nil)
	require.NoError(t, err)
	_, err = h.Option(optSetMeta, query("other", "base:allocation"))
	require.Equal(t, uint32(repErrUnknown), refusal(t, err))
	_, err = h.Option(optSetMeta, query("", make([]string, maxQueries+1)...))
	require.Equal(t, uint32(repErrTooBig), refusal(t, err))
	_, err = h.Option(optSetMeta, query("", "base:allocation")[:12])
	require.Equal(t, uint32(repErrInvalid), refusal(t, err))
}

// TestViolations: what the protocol does not allow ends the connection.
func TestViolations(t *testing.T) {
	v := serve(t, &memory{b: make([]byte, 4096)}, Options{HandshakeTimeout: time.Minute})
	for name, bytes := range map[string]string{
		"unknown client flags": "\x00\x00\x00\x07",
		"not fixed newstyle":   "\x00\x00\x00\x02",
		"not an option":        "\x00\x00\x00\x03HELLO OPTION ...",
		"an option too large":  "\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x06\x00\x01\x00\x01",
		"an unknown export":    "\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x01x",
	} {
		nc, err := net.Dial("unix", v.address)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
		_, err = nc.Write([]byte(bytes))
		require.NoError(t, err, name)
		gone(t, nc)
		require.NoError(t, nc.Close())
	}
}

// TestExportName: old clients begin so, with padding or without.
func TestExportName(t *testing.T) {
	v := serve(t, &memory{b: []byte("twelve bytes")}, Options{Name: "disk"})
	c := v.dial(nbdclient.Options{Export: "disk", ExportName: true})
	require.Equal(t, int64(12), c.Size)
	got := make([]byte, 6)
	_, err := c.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "twelve", string(got))

	nc, err := net.Dial("unix", v.address)
	require.NoError(t, err)
	defer nc.Close()
	_, err = nc.Write([]byte("\x00\x00\x00\x01IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00")) // without NO_ZEROES
	require.NoError(t, err)
	b := make([]byte, 18+10+124)
	_, err = io.ReadFull(nc, b)
	require.NoError(t, err)
	require.Equal(t, make([]byte, 124), b[28:])
}

func TestHandshakeTimeout(t *testing.T) {
	v := serve(t, &memory{b: make([]byte, 4096)}, Options{HandshakeTimeout: time.Millisecond})
	nc, err := net.Dial("unix", v.address)
	require.NoError(t, err)
	defer nc.Close()
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(time.Minute)))
	gone(t, nc)
}

func TestOptionsOfServer(t *testing.T) {
	d := &memory{b: make([]byte, 4096)}
	for name, o := range map[string]Options{
		"negative":       {MaxRequests: -1},
		"a long name":    {Name: string(make([]byte, maxString+1))},
		"TLS for anyone": {TLS: tlsForAnyone},
	} {
		_, err := NewServer(d, o)
		require.ErrorIs(t, err, fault.Usage, name)
	}
	s, err := NewServer(d, Options{})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), fault.Usage, "TCP without TLS")
}
