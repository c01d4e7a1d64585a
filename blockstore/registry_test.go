package blockstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

func aRecord(n int, keys ...dek.ID) BackupRecord {
	return BackupRecord{ID: NewUUID(), Destination: fmt.Sprintf("/backups/%d.coffer", n), Time: time.Unix(1_800_000_000+int64(n), 0).UTC(),
		Sequence: uint64(n), Keys: append([]dek.ID{}, keys...)}
}

func TestRegistry(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 1<<20)
	one, two := aRecord(1, ids[0]), aRecord(2)
	two.Base = one.ID
	require.NoError(t, s.RecordBackup(context.Background(), one))
	require.NoError(t, s.RecordBackup(context.Background(), two))
	require.ErrorIs(t, s.RecordBackup(context.Background(), two), ErrState)
	write1(t, s, 3, page(3))
	require.NoError(t, s.Close())

	info, err := Inspect("v", &Options{FS: fs})
	require.NoError(t, err)
	require.Equal(t, []BackupRecord{one, two}, info.Backups)
	s = reopen(t, fs, keys)
	require.NoError(t, s.ForgetBackup(one.ID))
	err = s.ForgetBackup(one.ID)
	require.ErrorIs(t, err, ErrNoBackup)
	require.ErrorIs(t, err, ErrState)
	have, err := s.Backups()
	require.NoError(t, err)
	require.Equal(t, []BackupRecord{two}, have)
	require.NoError(t, s.ForgetBackup(two.ID))
	info, err = s.Info()
	require.NoError(t, err)
	require.Empty(t, info.Backups)
	verified(t, s)
	require.NotContains(t, string(read(t, fs, "v")), "/backups/", "what was forgotten is still there")
}

func TestRegistryFull(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 1<<20)
	n := 0
	var err error
	for ; err == nil; n++ {
		r := aRecord(n)
		r.Destination = strings.Repeat("x", 4000)
		err = s.RecordBackup(context.Background(), r)
	}
	require.ErrorIs(t, err, ErrState)
	have, err := s.Backups()
	require.NoError(t, err)
	require.Len(t, have, n-1)
	require.Greater(t, n, 5)
	_, err = s.BackupTo(context.Background(), "/"+strings.Repeat("x", 4000), BackupOptions{})
	require.ErrorIs(t, err, ErrState, "before a byte of it is written")
	require.NotErrorIs(t, err, ErrUnrecorded)
	require.NoError(t, s.ForgetAllBackups())
	require.NoError(t, s.RecordBackup(context.Background(), aRecord(1)))
	verified(t, s)
}

// Altered records are found, and are no reason not to open the volume.
func TestRegistryAltered(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 1<<20)
	require.NoError(t, s.RecordBackup(context.Background(), aRecord(1)))
	require.NoError(t, s.Close())
	f, err := fs.Open("v", os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0xff}, registryOne+60)
	require.NoError(t, errors.Join(err, f.Close()))

	o := testOptions(fs)
	for _, k := range []*dek.Keyring{keys, nil} {
		r, err := VerifyFile(context.Background(), "v", k, &o, VerifyOptions{})
		require.NoError(t, err)
		require.ErrorIs(t, r.Err(), ErrTampered)
	}
	s = reopen(t, fs, keys)
	info, err := s.Info()
	require.NoError(t, err)
	require.NotEmpty(t, info.BackupsProblem)
	require.ErrorIs(t, s.RecordBackup(context.Background(), aRecord(2)), ErrTampered)
	require.NoError(t, s.ForgetAllBackups())
	require.NoError(t, s.RecordBackup(context.Background(), aRecord(2)))
	verified(t, s)
}

// A cut at any operation leaves the old records or the new ones.
func TestRegistryCrash(t *testing.T) {
	keys, _ := ring(t, 1)
	base := fsx.NewMem(1)
	s := create(t, base, keys, AESGCM, 1<<20)
	one, two := aRecord(1), aRecord(2)
	require.NoError(t, s.RecordBackup(context.Background(), one))
	require.NoError(t, s.Close())
	for k := 1; ; k++ {
		fs := base.Crash(rand.New(rand.NewPCG(uint64(k), 1)))
		s := reopen(t, fs, keys)
		fs.CutAfter(k)
		err := s.RecordBackup(context.Background(), two)
		done := err == nil
		after := fs.Crash(rand.New(rand.NewPCG(uint64(k), 2)))
		s = reopen(t, after, keys)
		have, err := s.Backups()
		require.NoError(t, err)
		require.Equal(t, one, have[0])
		require.LessOrEqual(t, len(have), 2)
		if done {
			require.Equal(t, []BackupRecord{one, two}, have)
			return
		}
		require.Less(t, k, 100)
	}
}

func FuzzRegistry(f *testing.F) {
	f.Add(encodeRegistry(nil))
	f.Add(encodeRegistry([]BackupRecord{aRecord(1), aRecord(2, dek.ID{1}, dek.ID{2})}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := decodeRegistry(b)
		if err != nil {
			return
		}
		again, err := decodeRegistry(encodeRegistry(list))
		require.NoError(t, err)
		require.Equal(t, list, again)
	})
}
