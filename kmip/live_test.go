package kmip

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/ovh/kmip-go"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// spoken are the versions that PyKMIP speaks.
var spoken = []Version{V10, V11, V12, V13, V14, V20}

// logs collects what is logged, and looks for secrets.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) options() *Options {
	return &Options{Log: slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// holds fails if text shows the secret, raw or in a usual printed form.
func requireNoSecret(t *testing.T, text string, secret []byte) {
	t.Helper()
	for _, form := range []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret), fmt.Sprint(secret), fmt.Sprintf("% x", secret)} {
		require.NotContains(t, text, form)
	}
}

// TestLive is the life of keys on a real server, in every version that it speaks.
func TestLive(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	for _, v := range spoken {
		t.Run(v.String(), func(t *testing.T) {
			s := p.as("anna-" + v.String())
			s.Version, s.LogMessages, s.DebugTLS = v, true, true
			var l logs
			c, err := Dial(t.Context(), s, l.options())
			require.NoError(t, err)
			defer c.Close()
			require.Equal(t, v, c.Version())
			secrets := [][]byte{life(t, c), registered(t, c)}
			states(t, c)
			require.NoError(t, c.Close())
			_, err = c.List(t.Context())
			require.ErrorIs(t, err, ErrClosed)

			require.Contains(t, l.text(), "KeyBlock")
			require.Contains(t, l.text(), "bytes not shown")
			require.Contains(t, l.text(), "TLS 1.2")
			for _, secret := range secrets {
				requireNoSecret(t, l.text(), secret)
			}
		})
	}
}

// life creates, finds, fetches, revokes and destroys; it returns a key's bytes.
func life(t *testing.T, c *Client) []byte {
	ctx := t.Context()
	var last KeyInfo
	var raw []byte
	for _, bits := range []int{128, 192, 256} {
		k, err := c.Create(ctx, NewKey{Name: "twice", Bits: bits})
		require.NoError(t, err)
		require.Equal(t, KeyInfo{ID: k.ID, GUID: k.GUID, Names: []string{"twice"}, Bits: bits, State: Active,
			symmetric: true, algorithm: kmip.CryptographicAlgorithmAES}, k)
		require.NoError(t, k.Writable())
		got, info, err := c.Get(ctx, k.ID)
		require.NoError(t, err)
		require.Equal(t, k, info)
		require.Equal(t, k.GUID, got.ID())
		require.Equal(t, bits, got.Bits())
		require.NotEqual(t, make([]byte, bits/8), got.ExposeSecret())
		raw, last = bytes.Clone(got.ExposeSecret()), k
		got.Destroy()
	}
	all, err := c.List(ctx)
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, text := range []string{last.ID, last.GUID.String(), strings.ToLower(last.GUID.String())} {
		found, err := c.Find(ctx, text)
		require.NoError(t, err)
		require.Equal(t, last, found)
	}
	_, err = c.Find(ctx, dek.NewID().String())
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorIs(t, err, fault.NotActivated)
	require.NotEmpty(t, fault.HintOf(err))

	require.ErrorIs(t, c.Destroy(ctx, last.ID), errorOfActive(c), "an active key is not destroyed")
	require.NoError(t, c.Revoke(ctx, last.ID, Cessation))
	k, err := c.Info(ctx, last.ID)
	require.NoError(t, err)
	require.Equal(t, Deactivated, k.State)
	require.NoError(t, c.Destroy(ctx, last.ID))
	_, err = c.Find(ctx, last.GUID.String())
	require.ErrorIs(t, err, ErrNotFound, "destroyed")
	_, _, err = c.Get(ctx, last.ID)
	require.ErrorIs(t, err, ErrNotFound)
	return raw
}

// errorOfActive: PyKMIP calls destroying an active key a matter of permission.
func errorOfActive(*Client) error { return ErrDenied }

// registered brings a key of ours and gets it back.
func registered(t *testing.T, c *Client) []byte {
	ctx := t.Context()
	own, err := dek.Generate(256)
	require.NoError(t, err)
	k, err := c.Register(ctx, own, NewKey{Name: "brought"})
	require.NoError(t, err)
	require.Equal(t, own.ID(), k.GUID)
	require.Equal(t, Active, k.State)
	got, _, err := c.Get(ctx, k.ID)
	require.NoError(t, err)
	require.True(t, own.Equal(got))
	_, err = c.Register(ctx, own, NewKey{})
	require.ErrorIs(t, err, ErrState, "twice")
	return own.ExposeSecret()
}

// states follows a key through its states on the server, and what a keyring may do with it.
func states(t *testing.T, c *Client) {
	ctx := t.Context()
	k, err := c.Create(ctx, NewKey{PreActive: true})
	require.NoError(t, err)
	require.Equal(t, 256, k.Bits)
	usableFor(t, c, k, PreActive, dek.DecryptOnly, "pre-active")
	require.NoError(t, c.Activate(ctx, k.ID))
	usableFor(t, c, k, Active, dek.Active, "")
	require.Error(t, c.Activate(ctx, k.ID), "twice")
	require.NoError(t, c.Revoke(ctx, k.ID, Superseded))
	usableFor(t, c, k, Deactivated, dek.DecryptOnly, "deactivated")
	require.NoError(t, c.Revoke(ctx, k.ID, Compromise))
	usableFor(t, c, k, Compromised, dek.DecryptOnly, "compromised")
	require.ErrorIs(t, c.Revoke(ctx, k.ID, 0), ErrUsage)
}

// usableFor fetches the key as a source does.
func usableFor(t *testing.T, c *Client, k KeyInfo, state State, mode dek.Mode, refusal string) {
	t.Helper()
	src := &Source{Server: c.d.server, IDs: []string{k.GUID.String(), k.ID}}
	keys, err := src.Keys(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 1, "named twice, fetched once")
	require.Equal(t, mode, src.Mode(keys[0].ID()))
	require.Equal(t, state.Mode(), mode)
	keys[0].Destroy()

	src.ForWriting = true
	keys, err = src.Keys(t.Context())
	if refusal == "" {
		require.NoError(t, err)
		keys[0].Destroy()
		return
	}
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, refusal)
	require.NotEmpty(t, fault.HintOf(err))
	require.Empty(t, keys)
}

// TestLiveWrapped fetches a key wrapped under another one.
func TestLiveWrapped(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	for _, v := range spoken {
		t.Run(v.String(), func(t *testing.T) {
			s := p.as("wrap-" + v.String())
			s.Version, s.LogMessages = v, true
			c, err := Dial(t.Context(), s, nil)
			require.NoError(t, err)
			defer c.Close()
			kek, err := dek.Generate(256)
			require.NoError(t, err)
			kekID := registerKEK(t, c, kek)
			k, err := c.Create(t.Context(), NewKey{})
			require.NoError(t, err)
			plain, _, err := c.Get(t.Context(), k.ID)
			require.NoError(t, err)
			got, _, err := c.GetWrapped(t.Context(), k.ID, kekID, kek)
			if v == V10 {
				require.ErrorIs(t, err, ErrUnsupported)
				return
			}
			require.NoError(t, err)
			require.True(t, plain.Equal(got))

			other, err := dek.Generate(256)
			require.NoError(t, err)
			_, _, err = c.GetWrapped(t.Context(), k.ID, kekID, other)
			require.ErrorIs(t, err, fault.WrongKey)
			_, _, err = c.GetWrapped(t.Context(), k.ID, k.ID, kek)
			require.ErrorIs(t, err, ErrDenied, "a key that may not wrap")
			_, _, err = c.GetWrapped(t.Context(), k.ID, "", kek)
			require.ErrorIs(t, err, ErrUsage)
		})
	}
}

// registerKEK registers a key that may wrap, which Coffer itself never does.
func registerKEK(t *testing.T, c *Client, kek *dek.Key) string {
	t.Helper()
	mask := kmip.CryptographicUsageWrapKey | kmip.CryptographicUsageEncrypt
	id, err := c.identified(t.Context(), request{op: kmip.OperationRegister, payload: func(d dialect) any {
		return withUsage(t, d.register(keyAttrs{bits: kek.Bits()}, bytes.Clone(kek.ExposeSecret())), mask)
	}})
	require.NoError(t, err)
	require.NoError(t, c.Activate(t.Context(), id))
	return id
}

// TestLiveNegotiated settles on the highest version in common.
func TestLiveNegotiated(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	c, err := Dial(t.Context(), p.as("anna"), nil)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, V20, c.Version())
	require.Equal(t, []Version{V20, V14, V13, V12, V11, V10}, c.Offered())

	s := p.as("anna")
	s.Version = V21
	_, err = Dial(t.Context(), s, nil)
	require.ErrorIs(t, err, ErrVersion)
	require.NotEmpty(t, fault.HintOf(err))

	s.Version = Version{}
	steps, err := Probe(t.Context(), s, nil)
	require.NoError(t, err)
	var seen []Step
	for _, st := range steps {
		require.NoError(t, st.Err)
		seen = append(seen, st.Step)
	}
	require.Equal(t, []Step{StepConfig, StepConnect, StepTLS, StepVersion, StepVersion, StepOperations, StepPermission}, seen)
}

// TestLiveOwners: a key of another owner is not to be seen.
func TestLiveOwners(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	anna, err := Dial(t.Context(), p.as("anna"), nil)
	require.NoError(t, err)
	defer anna.Close()
	k, err := anna.Create(t.Context(), NewKey{})
	require.NoError(t, err)
	bob, err := Dial(t.Context(), p.as("bob"), nil)
	require.NoError(t, err)
	defer bob.Close()
	for what, do := range map[string]func() error{
		"get":      func() error { _, _, err := bob.Get(t.Context(), k.ID); return err },
		"find":     func() error { _, err := bob.Find(t.Context(), k.GUID.String()); return err },
		"revoke":   func() error { return bob.Revoke(t.Context(), k.ID, Cessation) },
		"destroy":  func() error { return bob.Destroy(t.Context(), k.ID) },
		"activate": func() error { return bob.Activate(t.Context(), k.ID) },
	} {
		err := do()
		require.True(t, isAny(err, ErrNotFound, ErrDenied), "%s: %v", what, err)
		require.NotEmpty(t, fault.HintOf(err), what)
	}
	keys, err := bob.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, keys)
	_, err = anna.Info(t.Context(), k.ID)
	require.NoError(t, err, "nothing happened to it")
}

// TestLiveForeign: keys that Coffer cannot use are listed, and refused with the reason.
func TestLiveForeign(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	s := p.as("anna")
	s.Version = V14
	c, err := Dial(t.Context(), s, nil)
	require.NoError(t, err)
	defer c.Close()
	noGUID := foreign(t, c, kmip.CryptographicAlgorithmAES, 256)
	_, _, err = c.Get(t.Context(), noGUID)
	require.ErrorIs(t, err, ErrForeign)
	require.NotEmpty(t, fault.HintOf(err))
	_, err = c.Adopt(t.Context(), noGUID)
	require.ErrorIs(t, err, ErrForeign, "PyKMIP has no AddAttribute")
	require.ErrorContains(t, err, "the server says", "and its reason is said")

	wrong := foreign(t, c, kmip.CryptographicAlgorithmBlowfish, 128)
	_, _, err = c.Get(t.Context(), wrong)
	require.ErrorIs(t, err, ErrUnsupported)
	require.ErrorContains(t, err, "AES")
	_, err = c.Adopt(t.Context(), wrong)
	require.ErrorIs(t, err, ErrUnsupported)
	keys, err := c.List(t.Context())
	require.NoError(t, err)
	require.Len(t, keys, 2)

	few := &Options{MaxKeys: 1}
	c2, err := Dial(t.Context(), s, few)
	require.NoError(t, err)
	defer c2.Close()
	_, err = c2.List(t.Context())
	require.ErrorIs(t, err, ErrTooMany)
	require.ErrorIs(t, err, fault.State)
	require.NotEmpty(t, fault.HintOf(err))
}

// TestLiveTwins: two keys that claim one GUID are too many to choose from.
func TestLiveTwins(t *testing.T) {
	t.Parallel()
	p := startPyKMIP(t)
	c, err := Dial(t.Context(), p.as("anna"), nil)
	require.NoError(t, err)
	defer c.Close()
	own, err := dek.Generate(128)
	require.NoError(t, err)
	k, err := c.Register(t.Context(), own, NewKey{})
	require.NoError(t, err)
	guid := own.ID()
	_, err = c.identified(t.Context(), request{op: kmip.OperationRegister, payload: func(d dialect) any {
		return d.register(keyAttrs{bits: 128, guid: &guid}, bytes.Repeat([]byte("0123"), 4))
	}})
	require.NoError(t, err)
	_, err = c.Find(t.Context(), guid.String())
	require.ErrorIs(t, err, ErrTooMany)
	found, err := c.Find(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, k, found)
}
