package plainfile

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func TestRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4096, 8192, 8193, 100_000, 3<<20 + 17} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			ring, data := newKeyring(t, 256), content(uint64(size), size)
			m := memWith(t, data)
			res, err := encrypt(m, ring)
			require.NoError(t, err)
			require.Equal(t, int64(size), res.Bytes)
			require.False(t, res.Resumed)
			requireVolume(t, m, ring, data)
			res, err = decrypt(m, ring)
			require.NoError(t, err)
			require.Equal(t, int64(size), res.Bytes)
			requirePlain(t, m, data)
			require.NoError(t, ring.Close(), "no key is held")
		})
	}
}

func TestSuites(t *testing.T) {
	for _, c := range []struct {
		suite blockstore.Suite
		bits  int
	}{
		{blockstore.AESGCM, 128}, {blockstore.AESGCM, 192}, {blockstore.AESCBC, 128}, {blockstore.AESCBC, 192},
		{blockstore.AESCBC, 256}, {blockstore.AESXTS, 128}, {blockstore.AESXTS, 256},
	} {
		t.Run(fmt.Sprint(c.suite, c.bits), func(t *testing.T) {
			if err := c.suite.Allowed(true); err != nil {
				t.Skip(err)
			}
			ring, data := newKeyring(t, c.bits), content(3, 50_000)
			m := memWith(t, data)
			res, err := Encrypt(context.Background(), name, ring, &EncryptOptions{Options: Options{FS: m}, Suite: c.suite, BlockSize: 4096})
			require.NoError(t, err)
			require.Equal(t, c.suite.String(), res.Suite)
			require.Equal(t, 4096, res.BlockSize)
			requireVolume(t, m, ring, data)
			_, err = decrypt(m, ring)
			require.NoError(t, err)
			requirePlain(t, m, data)
		})
	}
}

func TestSQLitePageSizeIsTheBlockSize(t *testing.T) {
	for page, want := range map[int]int{512: 4096, 1024: 4096, 4096: 4096, 8192: 8192, 32768: 32768, 65536: 65536, 1000: 8192} {
		data := sqliteContent(5, 200_000, page)
		m, ring := memWith(t, data), newKeyring(t, 256)
		res, err := encrypt(m, ring)
		require.NoError(t, err)
		require.Equal(t, want, res.BlockSize, "page size %d", page)
		require.Equal(t, page != 1000, res.SQLite)
		res, err = decrypt(m, ring)
		require.NoError(t, err)
		require.Equal(t, page != 1000, res.SQLite)
		requirePlain(t, m, data)
	}
}

// TestSourceChanges writes to the file while it is being encrypted.
func TestSourceChanges(t *testing.T) {
	first, second := content(1, 60_000), content(2, 75_000)
	m, ring := memWith(t, first), newKeyring(t, 256)
	var notes []string
	o := &EncryptOptions{Options: Options{FS: m, Note: func(s string) { notes = append(notes, s) }}}
	changed := false
	o.Progress = func(pass Pass, _, _ int64) {
		if pass == Build && !changed {
			changed = true
			overwrite(t, m, second)
		}
	}
	res, err := Encrypt(context.Background(), name, ring, o)
	require.NoError(t, err)
	require.Equal(t, 1, res.Restarts)
	require.Len(t, notes, 1)
	requireVolume(t, m, ring, second)
}

func overwrite(t *testing.T, m *fsx.Mem, data []byte) {
	t.Helper()
	f, err := m.Open(name, 2, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(int64(len(data))))
	require.NoError(t, f.Close())
}

func TestSourceNeverRests(t *testing.T) {
	m, ring := memWith(t, content(1, 60_000)), newKeyring(t, 256)
	o := &EncryptOptions{Options: Options{FS: m}}
	n := uint64(10)
	o.Progress = func(pass Pass, _, _ int64) {
		if pass == Compare {
			n++
			overwrite(t, m, content(n, 40_000+int(n)*100))
		}
	}
	_, err := Encrypt(context.Background(), name, ring, o)
	require.ErrorIs(t, err, ErrChanging)
	got, err := m.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, content(n, 40_000+int(n)*100), got)
}

// interruptAt runs until so many bytes are done, then ends the context.
func interruptAt(t *testing.T, m fsx.FS, ring *dek.Keyring, bytes int64, do func(context.Context, Options) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := do(ctx, Options{FS: m, Progress: func(_ Pass, done, _ int64) {
		if done >= bytes {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestInterruptedEncryptGoesOn(t *testing.T) {
	suite := blockstore.AESCBC
	if suite.Allowed(true) != nil { // FIPS mode
		suite = blockstore.AESGCM
	}
	data := content(4, 4<<20)
	m, ring := memWith(t, data), newKeyring(t, 256)
	run := func(ctx context.Context, o Options) error {
		_, err := Encrypt(ctx, name, ring, &EncryptOptions{Options: o, Suite: suite})
		return err
	}
	interruptAt(t, m, ring, 3<<20, run)
	got, err := m.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, data, got)

	var notes []string
	res, err := Encrypt(context.Background(), name, ring,
		&EncryptOptions{Options: Options{FS: m, Note: func(s string) { notes = append(notes, s) }}})
	require.NoError(t, err)
	require.True(t, res.Resumed)
	require.Less(t, res.Written, int64(3<<20), "only what differs, and zeros, is written again")
	require.Equal(t, suite.String(), res.Suite, "it goes on as it began")
	require.Contains(t, strings.Join(notes, "\n"), "going on")
	requireVolume(t, m, ring, data)

	interruptAt(t, m, ring, 3<<20, func(ctx context.Context, o Options) error {
		_, err := Decrypt(ctx, name, ring, &DecryptOptions{Options: o})
		return err
	})
	require.Equal(t, data, volumeContent(t, m, ring))
	res, err = decrypt(m, ring)
	require.NoError(t, err)
	require.True(t, res.Resumed)
	require.Less(t, res.Written, int64(1<<20+1))
	requirePlain(t, m, data)
}

// TestLeftVolumeThatIsNoUse starts again where an interrupted run cannot be continued.
func TestLeftVolumeThatIsNoUse(t *testing.T) {
	data := content(4, 4<<20)
	for _, c := range []struct {
		name    string
		arrange func(t *testing.T, m *fsx.Mem)
		options func(t *testing.T, ring *dek.Keyring, o *EncryptOptions)
	}{
		{name: "labels gone", arrange: func(t *testing.T, m *fsx.Mem) { flip(t, m, 100, 64<<10+100) }},
		{name: "data damaged", arrange: func(t *testing.T, m *fsx.Mem) { flip(t, m, 128<<10+300_000, 1<<20) }},
		{name: "another suite", options: func(_ *testing.T, _ *dek.Keyring, o *EncryptOptions) { o.Suite = blockstore.AESXTS }},
		{name: "another block size", options: func(_ *testing.T, _ *dek.Keyring, o *EncryptOptions) { o.BlockSize = 16384 }},
		{name: "another key", options: func(t *testing.T, ring *dek.Keyring, o *EncryptOptions) { o.Key = addKey(t, ring, 128) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ring := memWith(t, data), newKeyring(t, 256)
			interruptAt(t, m, ring, 3<<20, func(ctx context.Context, o Options) error {
				_, err := Encrypt(ctx, name, ring, &EncryptOptions{Options: o})
				return err
			})
			o := &EncryptOptions{Options: Options{FS: m}}
			if c.arrange != nil {
				c.arrange(t, m)
			}
			if c.options != nil {
				c.options(t, ring, o)
			}
			if err := max(o.Suite, blockstore.AESGCM).Allowed(true); err != nil {
				t.Skip(err)
			}
			_, err := Encrypt(context.Background(), name, ring, o)
			require.NoError(t, err)
			requireVolume(t, m, ring, data)
		})
	}
}

// flip turns over a byte at each offset of the half-built volume.
func flip(t *testing.T, m *fsx.Mem, offsets ...int) {
	t.Helper()
	b, err := m.ReadFile(name + newSuffix)
	require.NoError(t, err)
	for _, off := range offsets {
		b[off] ^= 0xff
	}
	require.NoError(t, m.WriteFile(name+newSuffix, b))
}

// TestResumeHealsThePlainFile: the half-built plain file may hold anything.
func TestResumeHealsThePlainFile(t *testing.T) {
	data := content(9, 300_000)
	for _, left := range [][]byte{nil, []byte("short"), make([]byte, 300_000), content(1, 500_000)} {
		m, ring := memWith(t, data), newKeyring(t, 256)
		res, err := encrypt(m, ring)
		require.NoError(t, err)
		require.NoError(t, m.WriteFile(name+jobSuffix, job{jobDecrypt, res.Volume}.marshal()))
		require.NoError(t, m.WriteFile(name+newSuffix, left))
		res, err = decrypt(m, ring)
		require.NoError(t, err)
		require.True(t, res.Resumed)
		requirePlain(t, m, data)
	}
}

// TestDecryptOfADamagedVolume leaves the volume.
func TestDecryptOfADamagedVolume(t *testing.T) {
	m, ring := memWith(t, content(9, 300_000)), newKeyring(t, 256)
	_, err := encrypt(m, ring)
	require.NoError(t, err)
	b, err := m.ReadFile(name)
	require.NoError(t, err)
	b[128<<10+100_000] ^= 1
	require.NoError(t, m.WriteFile(name, b))
	_, err = decrypt(m, ring)
	require.ErrorIs(t, err, fault.Damaged)
	_, err = blockstore.Inspect(name, &blockstore.Options{FS: m})
	require.NoError(t, err)
	requireAlone(t, m)
}
