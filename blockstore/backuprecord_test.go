package blockstore

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// A run that is killed anywhere leaves no backup, or a whole one, which is then listed, or can be recorded.
func TestRecordBackupAfterAKill(t *testing.T) {
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s := create(t, disk, keys, AESGCM, 100*4096)
	write1(t, s, 1, page(1))
	require.NoError(t, s.Close())
	run := func(m *fsx.Mem) error {
		o := testOptions(m)
		s, err := Open("v", sameKeys(t, keys, ids), &o)
		if err != nil {
			return err
		}
		_, err = s.BackupTo(context.Background(), "/b", BackupOptions{})
		if closing := s.Close(); err == nil {
			err = closing
		}
		return err
	}
	dry := disk.Clone()
	began := dry.Ops()
	require.NoError(t, run(dry))
	recorded := 0
	for k := range dry.Ops() - began {
		m := disk.Clone()
		m.CutAfter(k)
		_ = run(m)
		m = m.Kill()
		if !exists(m, "/b") {
			continue
		}
		s := reopenAs(t, m, keys, "v")
		list, err := s.Backups()
		require.NoError(t, err)
		info, err := s.RecordBackupAt(context.Background(), "/b")
		if len(list) == 0 {
			require.NoError(t, err)
			recorded++
		} else {
			require.ErrorIs(t, err, ErrState)
		}
		list, err = s.Backups()
		require.NoError(t, err)
		require.Len(t, list, 1)
		if info != nil {
			require.Equal(t, info.ID, list[0].ID)
		}
		require.NoError(t, s.Close())
	}
	require.Positive(t, recorded, "cuts between name and record")
}

// Nothing that was altered, in any byte, is recorded.
func TestRecordBackupAltered(t *testing.T) {
	disk := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, disk, keys, AESGCM, 100*4096)
	write1(t, s, 1, page(1))
	_, err := s.BackupTo(context.Background(), "/b", BackupOptions{})
	require.NoError(t, err)
	require.NoError(t, s.ForgetAllBackups())
	whole := read(t, disk, "/b")
	for at := 0; at < len(whole); at += 1 + len(whole)/97 {
		bad := append([]byte(nil), whole...)
		bad[at] ^= 0x10
		require.NoError(t, disk.WriteFile("/bad", bad))
		_, err := s.RecordBackupAt(context.Background(), "/bad")
		require.Error(t, err, "byte %d", at)
		list, err := s.Backups()
		require.NoError(t, err)
		require.Empty(t, list)
	}
	_, err = s.RecordBackupAt(context.Background(), "/b")
	require.NoError(t, err)
}
