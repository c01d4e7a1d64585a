package kmip

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/kmiptest"
)

// clear is what makes a terminal forget what it showed.
const clear = "\x1b[2J\x1b[H"

// TestTerminal: nothing that a server says about a key moves a cursor, begins a
// line or takes memory without bound.
func TestTerminal(t *testing.T) {
	t.Parallel()
	script := newScripted(dek.NewID())
	name := func(text string) kmip.Attribute {
		return kmip.Attribute{AttributeName: kmip.AttributeNameName, AttributeValue: kmip.Name{NameValue: text, NameType: 1}}
	}
	script.attrs = append(script.attrs, name("good\nkey-2 256 active"), name(clear+"\u202egnp"), name(strings.Repeat("é", 1000)))
	for range 100 {
		script.attrs = append(script.attrs, name("more"))
	}
	f := startFake(t, honest, script.answer)
	c, err := Dial(t.Context(), f.as("anna"), nil)
	require.NoError(t, err)
	defer c.Close()
	keys, err := c.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, []string{"good?key-2 256 active", "?[2J?[H?gnp", strings.Repeat("é", 127) + "…"}, keys[0].Names[:3])
	require.Len(t, keys[0].Names, maxNames)

	for _, id := range []string{"", "a\nb", clear, "\u202e1", strings.Repeat("1", maxID+1)} {
		script.mu.Lock()
		script.located = []string{id}
		script.mu.Unlock()
		_, err = c.List(t.Context())
		require.ErrorIs(t, err, ErrProtocol, "%q", id)
		require.NotContains(t, err.Error(), clear)
		_, err = c.Find(t.Context(), id)
		require.ErrorIs(t, err, ErrUsage, "%q", id)
	}
	script.mu.Lock()
	script.id = clear
	script.mu.Unlock()
	_, err = c.Create(t.Context(), NewKey{})
	require.ErrorIs(t, err, ErrProtocol)
	require.NotContains(t, err.Error(), clear)
}

// TestCertificateText: the names in a certificate are shown before anybody has
// found out who signed it.
func TestCertificateText(t *testing.T) {
	t.Parallel()
	names := []string{clear + "all is well"}
	for range 100 {
		names = append(names, "x.example")
	}
	f := startFake(t, kmiptest.Leaf{Name: "server", Usage: serverAuth, DNS: names}, func(net.Conn, []byte) {})
	_, err := Dial(t.Context(), f.as("anna"), nil)
	require.ErrorIs(t, err, ErrTLS)
	require.NotContains(t, err.Error(), clear)
	require.Less(t, len(err.Error()), 1000)
}

// TestEcho: a server that repeats in its message what it was sent does not get
// password or key into errors and logs.
func TestEcho(t *testing.T) {
	t.Parallel()
	const password = "Correct Horse ö \"7\""
	k, err := dek.Import(dek.NewID(), []byte("0123456789abcdef"))
	require.NoError(t, err)
	defer k.Destroy()
	raw := k.ExposeSecret()
	for _, echo := range []string{password, base64.StdEncoding.EncodeToString([]byte(password)),
		string(raw), hex.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)} {
		f := startFake(t, honest, func(c net.Conn, request []byte) {
			var m kmip.RequestMessage
			if ttlv.UnmarshalTTLV(request, &m) != nil {
				return
			}
			reason := kmip.ResultReasonGeneralFailure
			if m.BatchItem[0].Operation == kmip.OperationLocate {
				reason = kmip.ResultReasonItemNotFound
			}
			_, _ = c.Write(answerWith(V10, kmip.ResponseBatchItem{Operation: m.BatchItem[0].Operation,
				ResultStatus: kmip.ResultStatusOperationFailed, ResultReason: reason, ResultMessage: "bad: " + echo + "!"}))
		})
		s := f.as("anna")
		s.Version, s.LogMessages, s.User, s.PasswordFile = V10, true, "anna", filepath.Join(t.TempDir(), "pw")
		require.NoError(t, os.WriteFile(s.PasswordFile, []byte(password+"\n"), 0o600))
		var l logs
		c, err := Dial(t.Context(), s, l.options())
		require.NoError(t, err)
		_, err = c.identified(t.Context(), maker{kmip.OperationRegister, func(d dialect, a keyAttrs) any { return d.register(a, raw) }, raw}.
			request(keyAttrs{bits: 128}))
		require.ErrorContains(t, err, withheld)
		require.NotContains(t, strings.ToLower(err.Error()+l.text()), strings.ToLower(echo))
		require.Contains(t, l.text(), withheld)
		require.NoError(t, c.Close())
	}
}

// TestEndlessFiles: what is read for a connection has an end.
func TestEndlessFiles(t *testing.T) {
	t.Parallel()
	const endless = "/dev/zero"
	if _, err := os.Stat(endless); err != nil {
		t.Skip("no " + endless)
	}
	f := startFake(t, honest, func(net.Conn, []byte) {})
	for _, change := range []func(*Server){
		func(s *Server) { s.CA = endless }, func(s *Server) { s.Cert = endless }, func(s *Server) { s.Key = endless },
		func(s *Server) { s.User, s.PasswordFile = "anna", endless },
	} {
		s := f.as("anna")
		change(&s)
		_, err := Dial(context.Background(), s, nil)
		require.ErrorIs(t, err, ErrUsage)
	}
}
