package nbd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

// ring returns a keyring with n keys.
func ring(t testing.TB, n int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	r := dek.NewKeyring()
	var ids []dek.ID
	for range n {
		k, err := dek.Generate(256)
		require.NoError(t, err)
		require.NoError(t, r.Activate(k, dek.Database, dek.Active))
		ids = append(ids, k.ID())
		k.Destroy()
	}
	return r, ids
}

func smallOptions(disk fsx.FS) blockstore.Options {
	return blockstore.Options{FS: disk, SegmentBytes: 64 << 10, CacheBytes: 1 << 20, CheckpointBytes: 1 << 20, Workers: 2}
}

// newStore makes a volume in memory. It is verified and closed at the end of the test.
func newStore(t testing.TB, disk fsx.FS, size int64) *blockstore.Store {
	t.Helper()
	keys, _ := ring(t, 2)
	s, err := blockstore.Create("v", keys, blockstore.CreateOptions{Options: smallOptions(disk), Size: size, BlockSize: 4096})
	require.NoError(t, err)
	t.Cleanup(func() {
		r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
		if !errors.Is(err, blockstore.ErrClosed) {
			require.NoError(t, err)
			require.NoError(t, r.Err())
			require.NoError(t, s.Close())
		}
	})
	return s
}

// served is a server on a unix socket.
type served struct {
	*Server
	t       testing.TB
	address string
	over    chan error // what Serve returned
}

func serve(t testing.TB, d Device, o Options) *served {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	require.NoError(t, err)
	return serveOn(t, l, d, o)
}

func serveOn(t testing.TB, l net.Listener, d Device, o Options) *served {
	t.Helper()
	s, err := NewServer(d, o)
	require.NoError(t, err)
	v := &served{Server: s, t: t, address: l.Addr().String(), over: make(chan error, 1)}
	go func() { v.over <- s.Serve(l) }()
	t.Cleanup(v.end)
	return v
}

// end shuts down; it may be called again.
func (v *served) end() {
	v.t.Helper()
	require.NoError(v.t, v.Shutdown(context.Background()))
	err := <-v.over
	require.ErrorIs(v.t, err, ErrClosed)
	v.over <- err
}

// dial connects; the client disconnects at the end of the test.
func (v *served) dial(o nbdclient.Options) *nbdclient.Client {
	v.t.Helper()
	c, err := nbdclient.Dial("unix", v.address, o)
	require.NoError(v.t, err)
	v.t.Cleanup(func() { _ = c.Disconnect() })
	return c
}

// raw connects and answers the greeting.
func (v *served) raw() *nbdclient.Handshake {
	v.t.Helper()
	nc, err := net.Dial("unix", v.address)
	require.NoError(v.t, err)
	v.t.Cleanup(func() { _ = nc.Close() })
	require.NoError(v.t, nc.SetDeadline(time.Now().Add(time.Minute)))
	h := &nbdclient.Handshake{Conn: nc}
	require.NoError(v.t, h.Hello())
	return h
}

// memory is a device of bytes, whose requests can be held up.
type memory struct {
	mu       sync.Mutex
	b        []byte
	readOnly bool
	busy     int // requests inside
	most     int // of those, at a time
	flushes  int

	entered chan struct{} // where set: gets one for each request
	gate    chan struct{} // where set: each request waits for it
}

var _ Device = (*memory)(nil)

func (m *memory) enter() func() {
	m.mu.Lock()
	m.busy++
	m.most = max(m.most, m.busy)
	m.mu.Unlock()
	if m.entered != nil {
		m.entered <- struct{}{}
	}
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	return func() { m.busy--; m.mu.Unlock() }
}

func (m *memory) Size() int64    { return int64(len(m.b)) }
func (m *memory) BlockSize() int { return 4096 }
func (m *memory) ReadOnly() bool { return m.readOnly }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	defer m.enter()()
	return copy(p, m.b[off:]), nil
}

func (m *memory) WriteAt(p []byte, off int64, _ bool) error {
	defer m.enter()()
	copy(m.b[off:], p)
	return nil
}

func (m *memory) Zero(off, n int64, _, _ bool) error {
	defer m.enter()()
	clear(m.b[off:][:n])
	return nil
}

func (m *memory) Flush() error {
	defer m.enter()()
	m.flushes++
	return nil
}
