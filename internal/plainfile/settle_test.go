package plainfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// killedAtTheEnd runs an operation and puts back the job's file, as a kill
// between the rename and its removal leaves it.
func killedAtTheEnd(t *testing.T, operation string, data []byte) (*fsx.Mem, *dek.Keyring, blockstore.UUID) {
	t.Helper()
	m, ring := memWith(t, data), newKeyring(t, 256)
	res, err := encrypt(m, ring)
	require.NoError(t, err)
	if operation == jobDecrypt {
		_, err = decrypt(m, ring)
		require.NoError(t, err)
	}
	require.NoError(t, m.WriteFile(name+jobSuffix, job{operation, res.Volume}.marshal()))
	return m, ring, res.Volume
}

// TestSettle: work that was complete but for the job's file is recognised, once.
func TestSettle(t *testing.T) {
	data := content(5, 50_000)
	for _, op := range []string{jobEncrypt, jobDecrypt} {
		m, _, uuid := killedAtTheEnd(t, op, data)
		other := map[string]string{jobEncrypt: jobDecrypt, jobDecrypt: jobEncrypt}[op]
		before := files(t, m, ".")
		_, done, err := Settle(name, other, m)
		require.NoError(t, err)
		require.False(t, done, "it is of the other operation")
		require.Equal(t, before, files(t, m, "."))
		l, err := Look(name, m)
		require.NoError(t, err)
		require.Nil(t, l, "nothing can go on")

		got, done, err := Settle(name, op, m)
		require.NoError(t, err)
		require.True(t, done)
		require.Equal(t, uuid, got)
		requireAlone(t, m)
		_, done, err = Settle(name, op, m)
		require.NoError(t, err)
		require.False(t, done)

		back, ring, _ := killedAtTheEnd(t, op, data) // the way back begins at once
		if op == jobEncrypt {
			_, err = decrypt(back, ring)
			require.NoError(t, err)
			requirePlain(t, back, data)
			continue
		}
		_, err = encrypt(back, ring)
		require.NoError(t, err)
		requireVolume(t, back, ring, data)
	}
}

// TestNotSettled: what is not complete, or not known to be, is left as it is.
func TestNotSettled(t *testing.T) {
	data := content(5, 50_000)
	for _, c := range []struct {
		name, operation string
		arrange         func(t *testing.T, m *fsx.Mem, ring *dek.Keyring)
	}{
		{"another volume", jobEncrypt, func(t *testing.T, m *fsx.Mem, _ *dek.Keyring) {
			require.NoError(t, m.WriteFile(name+jobSuffix, job{jobEncrypt, blockstore.NewUUID()}.marshal()))
		}},
		{"no volume yet", jobEncrypt, func(t *testing.T, m *fsx.Mem, _ *dek.Keyring) {
			require.NoError(t, m.WriteFile(name, data))
		}},
		{"a file lies beside", jobDecrypt, func(t *testing.T, m *fsx.Mem, _ *dek.Keyring) {
			require.NoError(t, m.WriteFile(name+newSuffix, data))
		}},
		{"the journal is there", jobDecrypt, func(t *testing.T, m *fsx.Mem, _ *dek.Keyring) {
			require.NoError(t, m.Mkdir(name+journalSuffix, 0o700))
			require.NoError(t, m.WriteFile(name+journalSuffix+"/segment-000001", []byte{1}))
		}},
		{"a volume again", jobDecrypt, func(t *testing.T, m *fsx.Mem, ring *dek.Keyring) {
			require.NoError(t, m.Remove(name+jobSuffix))
			res, err := encrypt(m, ring)
			require.NoError(t, err)
			require.NoError(t, m.WriteFile(name+jobSuffix, job{jobDecrypt, res.Volume}.marshal()))
		}},
		{"no job's file", jobDecrypt, func(t *testing.T, m *fsx.Mem, _ *dek.Keyring) {
			require.NoError(t, m.Remove(name+jobSuffix))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ring, _ := killedAtTheEnd(t, c.operation, data)
			c.arrange(t, m, ring)
			before := files(t, m, ".")
			_, done, err := Settle(name, c.operation, m)
			require.NoError(t, err)
			require.False(t, done)
			require.Equal(t, before, files(t, m, "."))
		})
	}
	m, _, _ := killedAtTheEnd(t, jobEncrypt, data)
	_, err := fsx.OpenLocked(m, name, 0, 0, fsx.Exclusive)
	require.NoError(t, err)
	_, _, err = Settle(name, jobEncrypt, m)
	require.ErrorIs(t, err, fault.InUse)
}

// TestStaleJobOwnsNothing: a job that outlived its work does not make a file
// that somebody put there later Coffer's.
func TestStaleJobOwnsNothing(t *testing.T) {
	data := content(5, 50_000)
	for _, made := range []string{jobEncrypt, jobDecrypt} {
		for _, mine := range []string{"my own notes", string(make([]byte, 9000))} {
			m, ring, _ := killedAtTheEnd(t, made, data)
			require.NoError(t, m.WriteFile(name+newSuffix, []byte(mine)))
			before := files(t, m, ".")
			var err error
			if made == jobEncrypt {
				_, err = decrypt(m, ring)
			} else {
				_, err = encrypt(m, ring)
			}
			require.ErrorIs(t, err, ErrInTheWay)
			require.Contains(t, fault.HintOf(err), name+jobSuffix)
			_, err = Abandon(name, m)
			require.ErrorIs(t, err, ErrInTheWay)
			require.Equal(t, before, files(t, m, "."))
		}
	}
	// An encryption that had no volume yet: what lies there was not begun by it.
	m, ring := memWith(t, data), newKeyring(t, 256)
	require.NoError(t, m.WriteFile(name+jobSuffix, job{op: jobEncrypt}.marshal()))
	require.NoError(t, m.WriteFile(name+newSuffix, []byte("my own notes")))
	before := files(t, m, ".")
	_, err := encrypt(m, ring)
	require.ErrorIs(t, err, ErrInTheWay)
	_, err = Abandon(name, m)
	require.ErrorIs(t, err, ErrInTheWay)
	require.Equal(t, before, files(t, m, "."))
}

// TestStrangersFileWithAnotherMode: that does not make it what was about to be renamed.
func TestStrangersFileWithAnotherMode(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("there are no modes")
	}
	for _, id := range []blockstore.UUID{{}, blockstore.NewUUID()} {
		path := filepath.Join(t.TempDir(), "table")
		require.NoError(t, os.WriteFile(path, content(31, 70_000), 0o600))
		require.NoError(t, os.WriteFile(path+jobSuffix, job{jobEncrypt, id}.marshal(), 0o600))
		require.NoError(t, os.WriteFile(path+newSuffix, []byte("mine"), 0o644))
		_, err := Encrypt(t.Context(), path, newKeyring(t, 256), nil)
		require.ErrorIs(t, err, ErrInTheWay)
		got, err := os.ReadFile(path + newSuffix)
		require.NoError(t, err)
		require.Equal(t, "mine", string(got))
	}
}
