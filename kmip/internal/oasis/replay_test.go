package oasis

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	lib "github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/kmiptest"
	"github.com/cofferdb/coffer/kmip"
	"github.com/cofferdb/coffer/kmip/internal/hook"
	v2 "github.com/cofferdb/coffer/kmip/internal/v2"
	"github.com/cofferdb/coffer/kmip/internal/wire"
)

// replayed are the profiles whose cases are replayed, and how many files and
// exchanges each has.
var replayed = []struct {
	profile, pattern string
	files, exchanges int
	left             int // requests of several operations at once, which the client does not send
}{
	{"baseline", "BL-M-*.xml", 13, 77, 1},
	{"symmetric key life cycle", "SKLC-M-*.xml", 3, 19, 0},
	{"symmetric key foundry", "SKFF-M-*.xml", 12, 76, 12},
}

// TestReplay sends the requests of the 2.1 cases with a real client over TLS to
// a server that expects exactly these operations and answers as the cases say,
// both in the oracle's bytes; what the client makes of the answers is compared too.
func TestReplay(t *testing.T) {
	dir := cases2(t)
	for _, r := range replayed {
		t.Run(r.profile, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(dir, "2.1", "mandatory", r.pattern))
			require.NoError(t, err)
			exchanges, left := 0, 0
			for _, f := range files {
				n, l := replay(t, load(t, f))
				exchanges, left = exchanges+n, left+l
			}
			require.Equal(t, []int{r.files, r.exchanges, r.left}, []int{len(files), exchanges, left})
		})
	}
}

// replay does one case and returns how many exchanges there were, and how many were left out.
func replay(t *testing.T, all []message) (done, left int) {
	t.Helper()
	s := serve(t)
	client, err := kmip.Dial(t.Context(), s.config, nil)
	require.NoError(t, err)
	defer client.Close()
	require.Equal(t, kmip.V21, client.Version())
	require.Zero(t, len(all)%2)
	for i := 0; i < len(all); i += 2 {
		request, response := all[i], all[i+1]
		require.True(t, request.request && !response.request, request.String())
		require.NoError(t, errors.Join(request.err, response.err))
		var q v2.RequestMessage
		var a v2.ResponseMessage
		require.NoError(t, ttlv.UnmarshalTTLV(request.bytes, &q))
		require.NoError(t, ttlv.UnmarshalTTLV(response.bytes, &a))
		if len(q.BatchItem) != 1 {
			left++
			continue
		}
		s.next <- exchange{request.bytes, response.bytes}
		payload, err := hook.Do(t.Context(), client, q.BatchItem[0].Operation, q.BatchItem[0].Payload)
		require.NoError(t, <-s.result, request.String())
		judge(t, &a.BatchItem[0], payload, err, response.String())
		done++
	}
	return done, left
}

// judge compares what the client returned with what the case answers.
func judge(t *testing.T, want *v2.ResponseItem, payload any, err error, where string) {
	t.Helper()
	if want.ResultStatus != lib.ResultStatusSuccess {
		var e *kmip.Error
		require.ErrorAs(t, err, &e, where)
		require.Equal(t, kmip.StepAnswer, e.Step, where)
		require.ErrorContains(t, err, "the server says", where)
		return
	}
	require.NoError(t, err, where)
	require.Equal(t, want.Payload, payload, where)
}

// exchange is a request to expect, and what to answer.
type exchange struct{ request, response []byte }

// server is the test's own: it answers DiscoverVersions, and then what it is told.
type server struct {
	config kmip.Server
	next   chan exchange
	result chan error
}

func serve(t *testing.T) *server {
	t.Helper()
	ca := kmiptest.NewAuthority(t, "Replay CA")
	crt, key := ca.Server()
	pair, err := tls.LoadX509KeyPair(crt, key)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs: pool, MinVersion: tls.VersionTLS13})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	cert, ckey := ca.Client("replay")
	s := &server{next: make(chan exchange, 1), result: make(chan error, 1), config: kmip.Server{Name: "replay", Hosts: []string{l.Addr().String()},
		CA: ca.CA(), Cert: cert, Key: ckey, Version: kmip.V21, TLS13: true, Timeout: kmip.Duration(10 * time.Second)}}
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		s.run(c)
	}()
	return s
}

func (s *server) run(c net.Conn) {
	if _, err := wire.ReadFrame(c, wire.Request, wire.DefaultMax); err != nil {
		return
	}
	_, _ = c.Write(ttlv.MarshalTTLV(&v2.ResponseMessage{
		ResponseHeader: v2.ResponseHeader{ProtocolVersion: lib.ProtocolVersion{ProtocolVersionMajor: 2, ProtocolVersionMinor: 1}, TimeStamp: time.Now(), BatchCount: 1},
		BatchItem: []v2.ResponseItem{{Operation: lib.OperationDiscoverVersions,
			Payload: &v2.DiscoverVersions{ProtocolVersion: []lib.ProtocolVersion{{ProtocolVersionMajor: 2, ProtocolVersionMinor: 1}}}}},
	}))
	for {
		got, err := wire.ReadFrame(c, wire.Request, wire.DefaultMax)
		if err != nil {
			return
		}
		want := <-s.next
		s.result <- compare(want.request, got)
		if _, err := c.Write(want.response); err != nil {
			return
		}
	}
}

// compare wants the same version, operation and payload. The rest differs: the
// client says when it is and how much it takes, and needs no correlation value
// and no identifier of a batch item, as it sends one at a time.
func compare(want, got []byte) error {
	wantItem, err := itemOf(want)
	if err != nil {
		return err
	}
	gotItem, err := itemOf(got)
	if err == nil && !bytes.Equal(wantItem, gotItem) {
		err = fmt.Errorf("the client sent %s", wire.Text(got))
	}
	return err
}

// itemOf returns the version, the operation and the payload of a request, encoded.
func itemOf(b []byte) ([]byte, error) {
	d, err := ttlv.NewTTLVDecoder(b)
	if err != nil {
		return nil, err
	}
	var v ttlv.Value
	if err := v.DecodeTTLV(&d); err != nil {
		return nil, err
	}
	message := v.Value.(ttlv.Struct)
	header, _ := v2.Find(message, lib.TagRequestHeader).Value.(ttlv.Struct)
	item, _ := v2.Find(message, lib.TagBatchItem).Value.(ttlv.Struct)
	var all []byte
	for _, part := range []*ttlv.Value{v2.Find(header, lib.TagProtocolVersion), v2.Find(item, lib.TagOperation), v2.Find(item, lib.TagRequestPayload)} {
		all = append(all, ttlv.MarshalTTLV(*part)...)
	}
	return all, nil
}
