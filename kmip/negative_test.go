package kmip

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/kmiptest"
	"github.com/cofferdb/coffer/kmip/internal/wire"
)

// fake is a TLS server of the test's own: it reads requests and does with each
// connection what answer says.
type fake struct {
	ca   *kmiptest.Authority
	addr *net.TCPAddr
}

// startFake serves until the test ends. answer gets each request's bytes.
func startFake(t *testing.T, l kmiptest.Leaf, answer func(c net.Conn, request []byte)) *fake {
	t.Helper()
	f := &fake{ca: kmiptest.NewAuthority(t, "Test CA")}
	crt, key := f.ca.Issue(l)
	pair, err := tls.LoadX509KeyPair(crt, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(f.ca.Cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	f.addr = listener.Addr().(*net.TCPAddr)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(c, answer)
		}
	}()
	return f
}

func serve(c net.Conn, answer func(net.Conn, []byte)) {
	defer func() { _ = c.Close() }()
	for {
		request, err := wire.ReadFrame(c, wire.Request, 1<<20)
		if err != nil {
			return
		}
		answer(c, request)
	}
}

func (f *fake) as(name string) Server {
	cert, key := f.ca.Client(name)
	return Server{Name: "fake", Hosts: []string{"127.0.0.1"}, Port: f.addr.Port, CA: f.ca.CA(), Cert: cert, Key: key,
		Timeout: Duration(5 * time.Second), Version: V14}
}

var honest = kmiptest.Leaf{Name: "server", Usage: serverAuth}

// requireError wants an error that names the server and the step, and says what to do.
func requireError(t *testing.T, err error, kind error, step Step, text string) {
	t.Helper()
	require.ErrorIs(t, err, kind)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, step, e.Step, "%v", err)
	require.ErrorContains(t, err, text)
	require.ErrorContains(t, err, "kmip: server "+e.Server)
}

// TestCertificates: every way in which a certificate can be wrong, on both sides.
func TestCertificates(t *testing.T) {
	t.Parallel()
	ok := startFake(t, honest, nil)
	for _, c := range []struct {
		name   string
		server kmiptest.Leaf
		change func(t *testing.T, s *Server, f *fake)
		step   Step
		text   string
	}{
		{"wrong CA", honest, func(t *testing.T, s *Server, _ *fake) { s.CA = kmiptest.NewAuthority(t, "Another CA").CA() }, StepTLS, "not signed by the CA"},
		{"expired server", kmiptest.Leaf{Name: "server", Usage: serverAuth, Start: -2 * time.Hour, End: -time.Hour}, nil, StepTLS, "expired on"},
		{"server not yet valid", kmiptest.Leaf{Name: "server", Usage: serverAuth, Start: time.Hour, End: 2 * time.Hour}, nil, StepTLS, "valid from"},
		{"server's purpose", kmiptest.Leaf{Name: "server", Usage: x509.ExtKeyUsageClientAuth, DNS: []string{"127.0.0.1"}}, nil, StepTLS, ""},
		{"server's name", kmiptest.Leaf{Name: "server", Usage: serverAuth, DNS: []string{"kms.example"}}, nil, StepTLS, "kms.example"},
		{"expired client", honest, func(_ *testing.T, s *Server, f *fake) {
			s.Cert, s.Key = f.ca.Issue(kmiptest.Leaf{Name: "anna", Usage: x509.ExtKeyUsageClientAuth, Start: -2 * time.Hour, End: -time.Hour})
		}, StepConfig, "expired on"},
		{"client not yet valid", honest, func(_ *testing.T, s *Server, f *fake) {
			s.Cert, s.Key = f.ca.Issue(kmiptest.Leaf{Name: "anna", Usage: x509.ExtKeyUsageClientAuth, Start: time.Hour, End: 2 * time.Hour})
		}, StepConfig, "valid from"},
		{"client's purpose", honest, func(_ *testing.T, s *Server, f *fake) {
			s.Cert, s.Key = f.ca.Issue(kmiptest.Leaf{Name: "anna", Usage: serverAuth})
		}, StepConfig, "not for clients"},
		{"client of another CA", honest, func(t *testing.T, s *Server, _ *fake) {
			s.Cert, s.Key = kmiptest.NewAuthority(t, "Another CA").Client("anna")
		},
			StepTLS, "refused the client's certificate"},
		{"another key", honest, func(_ *testing.T, s *Server, f *fake) { _, s.Key = f.ca.Client("bob") }, StepConfig, "private key"},
		{"CA is no certificate", honest, func(_ *testing.T, s *Server, _ *fake) { s.CA = s.Key }, StepConfig, "no certificate in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, c.server, func(c net.Conn, _ []byte) { _ = c.Close() })
			s := f.as("anna")
			if c.change != nil {
				c.change(t, &s, f)
			}
			key, err := os.ReadFile(s.Key)
			require.NoError(t, err)
			_, err = Dial(t.Context(), s, nil)
			requireError(t, err, ErrTLS, c.step, c.text)
			require.NotEmpty(t, fault.HintOf(err))
			requireNoSecret(t, err.Error(), key)
		})
	}
	s := ok.as("anna")
	s.CA = filepath.Join(t.TempDir(), "none")
	_, err := Dial(t.Context(), s, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	requireError(t, err, ErrTLS, StepConfig, "CA")
}

// TestNoServer: nobody there, somebody who says nothing, somebody who speaks something else.
func TestNoServer(t *testing.T) {
	t.Parallel()
	ca := kmiptest.NewAuthority(t, "Test CA")
	cert, key := ca.Client("anna")
	s := Server{Name: "s", Hosts: []string{"127.0.0.1"}, CA: ca.CA(), Cert: cert, Key: key, Timeout: Duration(20 * time.Second)}

	s.Port = kmiptest.DeadPort
	_, err := Dial(t.Context(), s, nil)
	requireError(t, err, ErrUnreachable, StepConnect, "refused")
	require.NotEmpty(t, fault.HintOf(err))

	hole := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	s.Port, s.Timeout = hole, Duration(time.Second) // the connection itself must be made in that time
	_, err = Dial(t.Context(), s, nil)
	requireError(t, err, ErrUnreachable, StepTLS, "no answer within 1s")
	s.Timeout = Duration(20 * time.Second)

	s.Port = listen(t, func(c net.Conn) {
		_, _ = c.Write([]byte("220 mail.example ESMTP ready\r\n"))
		_, _ = io.Copy(io.Discard, c)
	})
	_, err = Dial(t.Context(), s, nil)
	requireError(t, err, ErrTLS, StepTLS, "does not speak TLS")

	s.Hosts = []string{"no-such-host.invalid"}
	_, err = Dial(t.Context(), s, nil)
	requireError(t, err, ErrUnreachable, StepResolve, "no-such-host.invalid")

	// A connection that is never made, by a dialer that only waits.
	s.Hosts, s.Timeout = []string{"127.0.0.1"}, Duration(300*time.Millisecond)
	wait := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	_, err = Dial(t.Context(), s, &Options{DialContext: wait})
	requireError(t, err, ErrUnreachable, StepConnect, "no answer within")

	s.Timeout = Duration(time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	_, err = Dial(ctx, s, &Options{DialContext: wait})
	require.ErrorIs(t, err, context.Canceled)
}

func listen(t *testing.T, serve func(net.Conn)) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// TestFailOver: the addresses of a server are tried in order, and all are named when none works.
func TestFailOver(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	s := p.as("anna")
	s.Hosts = []string{"no-such-host.invalid", deadAddr, "localhost", "127.0.0.1"}
	c, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	s.Hosts = s.Hosts[:2]
	_, err = Dial(t.Context(), s, nil)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorContains(t, err, "no-such-host.invalid")
	require.ErrorContains(t, err, deadAddr)
}

// TestAway: a server is away only if none of its addresses answered. One that
// refuses, or is refused, has answered, whatever became of the others.
func TestAway(t *testing.T) {
	t.Parallel()
	f := startFake(t, honest, func(net.Conn, []byte) {})
	s := f.as("anna")
	s.Hosts = []string{deadAddr, "127.0.0.1"}
	s.CA = kmiptest.NewAuthority(t, "Another CA").CA()
	_, err := Dial(t.Context(), s, nil)
	require.ErrorIs(t, err, ErrUnreachable)
	require.ErrorIs(t, err, ErrTLS)
	require.False(t, Away(err))
	s.Hosts = []string{deadAddr, deadAddr}
	_, err = Dial(t.Context(), s, nil)
	require.True(t, Away(err))
}

// deadAddr is an address at which nobody listens.
var deadAddr = "127.0.0.1:" + strconv.Itoa(kmiptest.DeadPort)

// TestBadAnswers: what a server, or somebody between, can send instead of an answer.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	proper := answerTo(kmip.OperationDiscoverVersions, V14, kmip.ResultStatusSuccess)
	for _, c := range []struct {
		name string
		send func(c net.Conn)
		kind error
		step Step
		text string
	}{
		{"nothing", func(net.Conn) {}, ErrUnreachable, StepReceive, "no answer within"},
		{"closed", func(c net.Conn) { _ = c.Close() }, ErrUnreachable, StepReceive, "closed the connection without an answer"},
		{"cut in the middle", func(c net.Conn) { _, _ = c.Write(proper[:len(proper)/2]); _ = c.Close() }, ErrUnreachable, StepReceive, "in the middle of the answer"},
		{"cut in the header", func(c net.Conn) { _, _ = c.Write(proper[:5]); _ = c.Close() }, ErrUnreachable, StepReceive, "in the middle of the answer"},
		{"stops in the middle", func(c net.Conn) { _, _ = c.Write(proper[:len(proper)/2]) }, ErrUnreachable, StepReceive, "no answer within"},
		{"garbage", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, ErrProtocol, StepDecode, "not a KMIP message"},
		{"another length", func(c net.Conn) { _, _ = c.Write(broken(proper, 24)) }, ErrProtocol, StepDecode, "not a KMIP message"},
		{"oversized", func(c net.Conn) { _, _ = c.Write([]byte{0x42, 0, 0x7b, 1, 0x7f, 0xff, 0xff, 0xf8}) }, ErrProtocol, StepDecode, "too large"},
		{"empty", func(c net.Conn) { _, _ = c.Write([]byte{0x42, 0, 0x7b, 1, 0, 0, 0, 0}) }, ErrProtocol, StepDecode, ""},
		{"another operation", func(c net.Conn) { _, _ = c.Write(answerTo(kmip.OperationGet, V14, kmip.ResultStatusSuccess)) }, ErrProtocol, StepDecode, ""},
		{"pending", func(c net.Conn) {
			_, _ = c.Write(answerTo(kmip.OperationDiscoverVersions, V14, kmip.ResultStatusOperationPending))
		}, ErrProtocol, StepDecode, "Pending"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFake(t, honest, func(conn net.Conn, _ []byte) { c.send(conn) })
			s := f.as("anna")
			s.Version, s.Timeout = V10, Duration(30*time.Second) // 1.0 asks nothing while it connects
			client, err := Dial(t.Context(), s, nil)
			require.NoError(t, err)
			defer client.Close()
			client.version = V14
			if c.text == "no answer within" { // the connection had its time
				client.d.server.Timeout = Duration(300 * time.Millisecond)
			}
			_, err = client.discover(t.Context(), V14)
			requireError(t, err, c.kind, c.step, c.text)
			require.ErrorContains(t, err, "DiscoverVersions")
		})
	}
}

// TestBoundedMemory: a header that promises much gets no memory for it.
func TestBoundedMemory(t *testing.T) {
	f := startFake(t, honest, func(c net.Conn, _ []byte) {
		head := []byte{0x42, 0, 0x7b, 1, 0, 0, 0, 0}
		binary.BigEndian.PutUint32(head[4:], 256<<20)
		_, _ = c.Write(head)
	})
	s := f.as("anna")
	s.Timeout = Duration(2 * time.Second)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Dial(t.Context(), s, &Options{MaxMessage: 512 << 20})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrUnreachable)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
}

// TestOutcomeUnknown: a change that was cut off after it was sent is not done twice.
func TestOutcomeUnknown(t *testing.T) {
	t.Parallel()
	creates := make(chan struct{}, 16)
	f := startFake(t, honest, func(c net.Conn, request []byte) {
		creates <- struct{}{}
		_ = c.Close()
	})
	s := f.as("anna")
	s.Version, s.Reconnect = V10, 3 // 1.0 has no question before the first operation
	c, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Create(t.Context(), NewKey{})
	requireError(t, err, ErrOutcomeUnknown, StepReceive, "not known")
	require.ErrorIs(t, err, ErrUnreachable)
	require.NotEmpty(t, fault.HintOf(err))
	require.Len(t, creates, 1)
	_, err = c.List(t.Context())
	require.ErrorIs(t, err, ErrUnreachable)
	require.False(t, errors.Is(err, ErrOutcomeUnknown))
	require.Len(t, creates, 1+4, "asking is tried again")
}

// TestCancel: an operation ends with its context.
func TestCancel(t *testing.T) {
	t.Parallel()
	f := startFake(t, honest, func(net.Conn, []byte) {})
	s := f.as("anna")
	s.Version, s.Timeout = V10, Duration(time.Hour)
	c, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	defer c.Close()
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err = c.List(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// broken returns a copy with another length at off.
func broken(b []byte, off int) []byte {
	b = append([]byte(nil), b...)
	b[off+7] ^= 0x10
	return b
}
