package nbd

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/kmiptest"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

var tlsForAnyone = &tls.Config{ClientAuth: tls.RequestClientCert}

// certificates of a test: the server's configuration, a client's, and one of a client nobody knows.
func certificates(t *testing.T) (server, client, stranger *tls.Config) {
	t.Helper()
	ca, other := kmiptest.NewAuthority(t, "ca"), kmiptest.NewAuthority(t, "other")
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	pair := func(a *kmiptest.Authority, name string, usage x509.ExtKeyUsage) []tls.Certificate {
		cert, key := a.Issue(kmiptest.Leaf{Name: name, Usage: usage})
		c, err := tls.LoadX509KeyPair(cert, key)
		require.NoError(t, err)
		return []tls.Certificate{c}
	}
	server = &tls.Config{Certificates: pair(ca, "server", x509.ExtKeyUsageServerAuth), ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	client = &tls.Config{Certificates: pair(ca, "client", x509.ExtKeyUsageClientAuth), RootCAs: pool, ServerName: "localhost"}
	stranger = &tls.Config{Certificates: pair(other, "client", x509.ExtKeyUsageClientAuth), RootCAs: pool, ServerName: "localhost"}
	return server, client, stranger
}

func serveTLS(t *testing.T, d Device, config *tls.Config) *served {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, l, d, Options{TLS: config, Name: "disk"})
}

func rawTCP(t *testing.T, v *served) *nbdclient.Handshake {
	t.Helper()
	nc, err := net.Dial("tcp", v.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(time.Minute)))
	h := &nbdclient.Handshake{Conn: nc}
	require.NoError(t, h.Hello())
	return h
}

func TestTLS(t *testing.T) {
	server, client, stranger := certificates(t)
	v := serveTLS(t, Volume(newStore(t, memDisk(), 1<<20)), server)
	c, err := nbdclient.Dial("tcp", v.address, nbdclient.Options{TLS: client, Structured: true, Export: "disk"})
	require.NoError(t, err)
	require.NoError(t, c.WriteAt([]byte("over TLS"), 5, nbdclient.FUA))
	got := make([]byte, 8)
	_, err = c.ReadAt(got, 5)
	require.NoError(t, err)
	require.Equal(t, "over TLS", string(got))
	require.NoError(t, c.Disconnect())

	for name, config := range map[string]*tls.Config{"another authority's": stranger, "none": {RootCAs: client.RootCAs, ServerName: "localhost"},
		"old TLS": {Certificates: client.Certificates, RootCAs: client.RootCAs, ServerName: "localhost", MaxVersion: tls.VersionTLS11}} {
		_, err := nbdclient.Dial("tcp", v.address, nbdclient.Options{TLS: config})
		require.Error(t, err, name)
	}
}

// TestTLSFirst: before TLS nothing is told and nothing begun.
func TestTLSFirst(t *testing.T) {
	server, _, _ := certificates(t)
	v := serveTLS(t, &memory{b: make([]byte, 4096)}, server)
	h := rawTCP(t, v)
	for _, code := range []uint32{optList, optInfo, optGo, optStructuredReply, optListMeta, optSetMeta, 99} {
		replies, err := h.Option(code, nbdclient.AskAll(""))
		require.Equal(t, uint32(repErrTLSReqd), refusal(t, err))
		require.Empty(t, replies)
	}
	_, err := h.Option(optStartTLS, []byte("x"))
	require.Equal(t, uint32(repErrInvalid), refusal(t, err))
	require.NoError(t, h.Send(optExportName, nil))
	gone(t, h.Conn)
}

// TestTLSInjection: what somebody in between sends in clear counts for nothing
// after STARTTLS: neither options that were negotiated nor bytes behind it.
func TestTLSInjection(t *testing.T) {
	server, client, _ := certificates(t)
	v := serveTLS(t, Volume(newStore(t, memDisk(), 1<<20)), server)
	h := rawTCP(t, v)
	require.NoError(t, h.StartTLS(client))
	_, err := h.Option(optSetMeta, []byte("\x00\x00\x00\x00\x00\x00\x00\x00"))
	require.Equal(t, uint32(repErrInvalid), refusal(t, err), "nothing was negotiated within TLS")
	_, err = h.Option(optStartTLS, nil)
	require.Equal(t, uint32(repErrInvalid), refusal(t, err), "TLS is there already")

	h = rawTCP(t, v)
	b := []byte("IHAVEOPT\x00\x00\x00\x05\x00\x00\x00\x00" + "IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00")
	_, err = h.Conn.Write(b)
	require.NoError(t, err)
	ack := make([]byte, 20)
	_, err = h.Conn.Read(ack)
	require.NoError(t, err)
	require.Error(t, tls.Client(h.Conn, client).Handshake(), "the bytes behind STARTTLS are no TLS")
}
