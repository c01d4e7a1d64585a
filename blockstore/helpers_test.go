package blockstore

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// ring returns a keyring with n keys, each of 256 bits, the first the default.
func ring(t testing.TB, n int) (*dek.Keyring, []dek.ID) {
	t.Helper()
	r := dek.NewKeyring()
	var ids []dek.ID
	for range n {
		ids = append(ids, addKey(t, r, 256))
	}
	return r, ids
}

func addKey(t testing.TB, r *dek.Keyring, bits int) dek.ID {
	t.Helper()
	k, err := dek.Generate(bits)
	require.NoError(t, err)
	defer k.Destroy()
	require.NoError(t, r.Activate(k, dek.Database, dek.Active))
	return k.ID()
}

// testOptions are small enough that checkpoints and switches happen in tests.
func testOptions(fs fsx.FS) Options {
	return Options{FS: fs, SegmentBytes: 64 << 10, CacheBytes: 1 << 20, Workers: 2, AllowPlain: true}
}

func create(t testing.TB, fs fsx.FS, keys *dek.Keyring, suite Suite, size int64) *Store {
	t.Helper()
	s, err := Create("v", keys, CreateOptions{Options: testOptions(fs), Size: size, BlockSize: 4096, Suite: suite})
	require.NoError(t, err)
	return s
}

func reopen(t testing.TB, fs fsx.FS, keys *dek.Keyring) *Store {
	t.Helper()
	o := testOptions(fs)
	s, err := Open("v", keys, &o)
	require.NoError(t, err)
	return s
}

// verified closes a store after a clean verification, and verifies the closed file with and without keys.
func verified(t testing.TB, s *Store) {
	t.Helper()
	r, err := s.Verify(context.Background(), VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.NoError(t, s.Close())
	o := s.opts
	for _, keys := range []*dek.Keyring{s.keys, nil} {
		r, err := VerifyFile(context.Background(), s.path, keys, &o, VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		require.Zero(t, r.Unsettled)
		require.Equal(t, s.Blocks(), r.Checked+r.Holes+r.Lost)
	}
}

func page(seed uint64) []byte {
	p := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

func write1(t testing.TB, s *Store, block uint64, data []byte) {
	t.Helper()
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.Write(block, data) }))
}

func read1(t testing.TB, s *Store, block uint64) []byte {
	t.Helper()
	var got []byte
	require.NoError(t, s.View(func(tx *Tx) error {
		p, err := tx.Read(block)
		got = bytes.Clone(p)
		return err
	}))
	return got
}

// elsewhere runs fn on another goroutine: transactions do not nest.
func elsewhere(fn func()) {
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	<-done
}
