package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

const testBlocks = 400

// owner is a volume that a process has open, with a second key in its sources.
type owner struct {
	t     *testing.T
	path  string
	keys  *dek.Keyring
	first dek.ID
	later *dek.Key // not activated yet
	*blockstore.Store
	server *Server
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	w := &owner{t: t, path: filepath.Join(dir, "v"), keys: dek.NewKeyring()}
	k, err := dek.Generate(256)
	require.NoError(t, err)
	require.NoError(t, w.keys.Activate(k, dek.Database, dek.Active))
	w.first = k.ID()
	k.Destroy()
	w.later, err = dek.Generate(256)
	require.NoError(t, err)
	w.Store, err = blockstore.Create(w.path, w.keys, blockstore.CreateOptions{Size: testBlocks * 4096, BlockSize: 4096})
	require.NoError(t, err)
	for b := range int64(testBlocks) {
		_, err := w.File().WriteAt(bytes.Repeat([]byte{byte(b)}, 4096), b*4096)
		require.NoError(t, err)
	}
	require.NoError(t, w.Checkpoint(context.Background()))
	w.serve(Options{Activate: w.activate, KeyFiles: []string{"/the/keys"}})
	t.Cleanup(w.end)
	return w
}

func (w *owner) activate(_ context.Context, id dek.ID) error {
	if id != w.later.ID() && id != w.first {
		return fmt.Errorf("no source has key %v: %w", id, fault.NotActivated)
	}
	if id == w.first {
		return nil
	}
	return w.keys.Activate(w.later, dek.Database, dek.Active)
}

func (w *owner) serve(o Options) {
	w.t.Helper()
	var err error
	w.server, err = Serve(w.Store, o)
	if errors.Is(err, fault.Unsupported) {
		require.NoError(w.t, w.Close())
		w.t.Skip(err)
	}
	require.NoError(w.t, err)
}

// end verifies and closes; it may be called again.
func (w *owner) end() {
	w.t.Helper()
	require.NoError(w.t, w.server.Close())
	r, err := w.Store.Verify(context.Background(), blockstore.VerifyOptions{})
	if errors.Is(err, blockstore.ErrClosed) {
		return
	}
	require.NoError(w.t, err)
	require.NoError(w.t, r.Err())
	require.NoError(w.t, w.Store.Close())
}

func (w *owner) dial() *Client {
	w.t.Helper()
	c, err := Dial(context.Background(), w.path)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// same compares by JSON: what is not exported does not travel.
func same(t *testing.T, want, got any) {
	t.Helper()
	a, err := json.Marshal(want)
	require.NoError(t, err)
	b, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(a), string(b))
}

func TestCommands(t *testing.T) {
	ctx := context.Background()
	w := newOwner(t)
	st, err := os.Lstat(Path(w.path))
	require.NoError(t, err)
	require.Equal(t, fs.ModeSocket|0o600, st.Mode())
	c := w.dial()
	require.Equal(t, Hello{1, w.UUID(), "aes-gcm", os.Getpid(), true, []string{"/the/keys"}}, c.Owner)

	info, err := c.Info(ctx)
	require.NoError(t, err)
	want, err := w.Store.Info()
	require.NoError(t, err)
	same(t, want, info)

	census, err := c.CountKeys(ctx)
	require.NoError(t, err)
	require.Equal(t, uint64(testBlocks), census.Use(w.first).Blocks)

	anchor, err := c.Anchor(ctx)
	require.NoError(t, err)
	require.Equal(t, w.Store.Anchor(), anchor)

	report, err := c.Verify(ctx, 2, nil)
	require.NoError(t, err)
	require.True(t, report.OK && report.WithKeys)
	require.Equal(t, uint64(testBlocks), report.Checked)

	full, more := w.path+".full", w.path+".more"
	b, err := c.Backup(ctx, Backup{Destination: full}, nil)
	require.NoError(t, err)
	i, err := blockstore.InspectBackup(full, nil)
	require.NoError(t, err)
	require.Equal(t, i.ID, b.ID)
	_, err = c.Backup(ctx, Backup{Destination: full}, nil)
	require.ErrorIs(t, err, fs.ErrExist)
	require.ErrorIs(t, err, fault.State)
	require.NotEmpty(t, fault.HintOf(err))
	next, err := c.Backup(ctx, Backup{Destination: more, Base: full}, nil)
	require.NoError(t, err)
	require.Equal(t, b.ID, next.Base)
	_, err = c.Backup(ctx, Backup{Destination: "relative"}, nil)
	require.ErrorIs(t, err, fault.Usage)
}

// TestRekey: to a key that the owner finds in its sources, while others write; then back, and again to where it is.
func TestRekey(t *testing.T) {
	ctx := context.Background()
	w := newOwner(t)
	c := w.dial()
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for b := int64(0); ; b = (b + 7) % testBlocks {
			select {
			case <-stop:
				return
			default:
				if _, err := w.File().WriteAt(bytes.Repeat([]byte{byte(b)}, 4096), b*4096); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	done, err := c.Rekey(ctx, Rekey{Key: w.later.ID()}, nil)
	close(stop)
	writer.Wait()
	require.NoError(t, err)
	require.True(t, done.Complete && !done.Already && !done.Resumed)
	require.Equal(t, w.first, done.Old)
	require.Equal(t, w.later.ID(), done.Info.WriteKey)
	require.Equal(t, w.later.ID(), done.Info.JournalKey)
	census, err := w.Store.CountKeys(ctx)
	require.NoError(t, err)
	require.Zero(t, census.Use(w.first).Blocks)

	done, err = c.Rekey(ctx, Rekey{Key: w.first, Suite: "aes-xts", Purge: true}, nil)
	require.NoError(t, err)
	require.Equal(t, "aes-xts", done.Info.Suite)
	require.NotNil(t, done.Census)
	done, err = c.Rekey(ctx, Rekey{Key: w.first}, nil)
	require.NoError(t, err)
	require.True(t, done.Already && done.Complete)

	unknown, err := dek.Generate(256)
	require.NoError(t, err)
	_, err = c.Rekey(ctx, Rekey{Key: unknown.ID()}, nil)
	require.ErrorIs(t, err, fault.NotActivated)
	for b := range int64(testBlocks) {
		got := make([]byte, 1)
		_, err := w.File().ReadAt(got, b*4096+99)
		require.NoError(t, err)
		require.Equal(t, byte(b), got[0])
	}
}

// TestRekeyStopped: a client that leaves, or an owner that ends, leaves a re-key that goes on, or back.
func TestRekeyStopped(t *testing.T) {
	w := newOwner(t)
	slow := Rekey{Key: w.later.ID(), BytesPerSecond: 100 << 10, Workers: 1}
	for name, stop := range map[string]func(cancel context.CancelFunc, c *Client){
		"context": func(cancel context.CancelFunc, _ *Client) { cancel() },
		"leaves":  func(_ context.CancelFunc, c *Client) { _ = c.Close() },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		c := w.dial()
		stopped := false
		_, err := c.Rekey(ctx, slow, func(Progress) {
			if !stopped {
				stopped = true
				stop(cancel, c)
			}
		})
		cancel()
		require.Error(t, err, name)
		require.True(t, stopped)
		if name == "context" {
			require.ErrorIs(t, err, context.Canceled)
		}
		next := w.dial()
		for { // the owner notices a client that has left a little later
			done, err := next.Rekey(context.Background(), Rekey{Key: w.first, Back: true}, nil)
			if errors.Is(err, fault.State) {
				continue
			}
			require.NoError(t, err)
			require.True(t, done.Resumed && done.Complete, name)
			require.Equal(t, w.later.ID(), done.Old)
			break
		}
	}
	c := w.dial()
	ended := make(chan struct{})
	var once sync.Once
	_, err := c.Rekey(context.Background(), slow, func(Progress) {
		once.Do(func() { go func() { defer close(ended); _ = w.server.Close() }() })
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotEmpty(t, fault.HintOf(err))
	<-ended
	_, err = Dial(context.Background(), w.path)
	require.ErrorIs(t, err, ErrNobody)
	w.serve(Options{Activate: w.activate})
	done, err := w.dial().Rekey(context.Background(), Rekey{Key: w.later.ID()}, nil)
	require.NoError(t, err)
	require.True(t, done.Resumed && done.Complete)
}

// TestStale: what a killed owner left is nobody, and is replaced.
func TestStale(t *testing.T) {
	w := newOwner(t)
	require.NoError(t, w.server.Close())
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: Path(w.path)})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	_, err = Dial(context.Background(), w.path)
	require.ErrorIs(t, err, ErrNobody)
	w.serve(Options{})
	_, err = w.dial().Rekey(context.Background(), Rekey{Key: w.later.ID()}, nil)
	require.ErrorIs(t, err, fault.NotActivated)
	require.Contains(t, fault.HintOf(err), "activate")
}

func TestReadOnlyStoreIsRefused(t *testing.T) {
	w := newOwner(t)
	w.end()
	s, err := blockstore.Open(w.path, w.keys, &blockstore.Options{ReadOnly: true})
	require.NoError(t, err)
	defer s.Close()
	_, err = Serve(s, Options{})
	require.ErrorIs(t, err, fault.State)
}

// TestHostile: lines that are no requests are refused, and those that are too long end the connection; the owner goes on.
func TestHostile(t *testing.T) {
	w := newOwner(t)
	key := w.later.ID().String()
	one, err := net.Dial("unix", Path(w.path))
	require.NoError(t, err)
	defer one.Close()
	in := json.NewDecoder(one)
	var hello reply
	require.NoError(t, in.Decode(&hello))
	for _, line := range []string{
		"", "{", "null", "[]", `{"version":1}`, `{"version":2,"command":"info"}`, `{"version":1,"command":"erase"}`,
		`{"version":1,"command":"info","extra":1}`, `{"version":1,"command":"info"} {}`, `{"version":1,"command":"backup"}`,
		`{"version":1,"command":"info","rekey":{"key":"` + key + `"}}`,
		`{"version":1,"command":"backup","backup":{"destination":"relative"}}`,
		`{"version":1,"command":"rekey","rekey":{"key":"00000000-0000-0000-0000-000000000000"}}`,
		`{"version":1,"command":"rekey","rekey":{"key":"` + key + `","suite":"none"}}`,
		`{"version":1,"command":"rekey","rekey":{"key":"` + key + `","workers":1000000}}`,
		`{"version":1,"command":"verify","workers":-1}`,
	} {
		_, err = one.Write([]byte(line + "\n"))
		require.NoError(t, err)
		var r reply
		require.NoError(t, in.Decode(&r), line)
		require.True(t, r.Done, line)
		require.ErrorIs(t, r.Error.err(), fault.Usage, line)
	}
	nc, err := net.Dial("unix", Path(w.path))
	require.NoError(t, err)
	_, _ = nc.Write(bytes.Repeat([]byte("x"), maxRequest+1)) // it may close before it has read all
	rest := bufio.NewScanner(nc)
	rest.Scan()
	require.False(t, rest.Scan(), "more than the greeting")
	require.NoError(t, nc.Close())

	info, err := w.Store.Info()
	require.NoError(t, err)
	require.Equal(t, w.first, info.WriteKey)
	_, err = w.dial().Anchor(context.Background())
	require.NoError(t, err)
}

// TestNoSecrets: nothing that goes through the socket in a re-key contains a key.
func TestNoSecrets(t *testing.T) {
	w := newOwner(t)
	nc, err := net.Dial("unix", Path(w.path))
	require.NoError(t, err)
	_, err = fmt.Fprintf(nc, `{"version":1,"command":"rekey","rekey":{"key":%q}}`+"\n"+`{"version":1,"command":"info"}`+"\n", w.later.ID())
	require.NoError(t, err)
	in := bufio.NewReader(nc)
	var all strings.Builder
	for answers := 0; answers < 2; {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		all.WriteString(line)
		if strings.Contains(line, `"done":true`) {
			answers++
		}
	}
	require.NoError(t, nc.Close())
	raw := w.later.ExposeSecret()
	require.NotContains(t, all.String(), string(raw))
	for _, form := range []string{"%x", "%X"} {
		require.NotContains(t, all.String(), fmt.Sprintf(form, raw))
	}
	text, err := json.Marshal(raw) // as base64
	require.NoError(t, err)
	require.NotContains(t, all.String(), strings.Trim(string(text), `"`))
	require.Contains(t, all.String(), w.later.ID().String())
}

// TestErrorsTravel: each marker is still there at the other end, and no other.
func TestErrorsTravel(t *testing.T) {
	for _, m := range markers {
		err := fault.Hint(fmt.Errorf("outer: %w", m.err), "do this")
		b, e := json.Marshal(toWire(err))
		require.NoError(t, e)
		w := new(wireError)
		require.NoError(t, json.Unmarshal(b, w))
		got := w.err()
		require.Equal(t, err.Error(), got.Error())
		require.Equal(t, "do this", fault.HintOf(got))
		for _, other := range markers {
			require.Equal(t, errors.Is(err, other.err), errors.Is(got, other.err), "%s, %s", m.name, other.name)
		}
	}
	require.NoError(t, toWire(nil).err())
	require.ErrorIs(t, toWire(fault.Both(fault.Tampered, syscall.ENOSPC)).err(), syscall.ENOSPC)
}

// FuzzRequest: what is taken for a request is one that comes out the same again.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"version":1,"command":"info"}`))
	f.Add([]byte(`{"version":1,"command":"verify","workers":3}`))
	f.Add([]byte(`{"version":1,"command":"backup","backup":{"destination":"/a","base":"/b"}}`))
	f.Add([]byte(`{"version":1,"command":"rekey","rekey":{"key":"9158980E-AE52-4E12-82FD-AA5A2909D029","suite":"aes-cbc","back":true,"share":0.5}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := parseRequest(line)
		if err != nil {
			require.ErrorIs(t, err, fault.Usage)
			return
		}
		if r.Rekey != nil {
			c, err := r.Rekey.conversion()
			require.NoError(t, err)
			require.NotEqual(t, blockstore.None, c.Suite)
		}
		again, err := json.Marshal(r)
		require.NoError(t, err)
		same, err := parseRequest(again)
		require.NoError(t, err)
		require.Equal(t, r, same)
	})
}
