package plainfile

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func TestJobFile(t *testing.T) {
	for _, j := range []job{{op: jobEncrypt}, {jobEncrypt, blockstore.NewUUID()}, {jobDecrypt, blockstore.NewUUID()}} {
		got, ok := parseJob(j.marshal())
		require.True(t, ok)
		require.Equal(t, j, got)
		require.LessOrEqual(t, len(j.marshal()), maxJob)
	}
	good := string(job{jobDecrypt, blockstore.NewUUID()}.marshal())
	for _, text := range []string{"", "coffer job 1\n", good + "\n", good[1:], strings.ToLower(good), strings.Replace(good, jobDecrypt, "erase", 1)} {
		_, ok := parseJob([]byte(text))
		require.False(t, ok, "%q", text)
	}
}

func FuzzJobFile(f *testing.F) {
	f.Add(job{op: jobEncrypt}.marshal())
	f.Add([]byte("coffer job 1\ndecrypt\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if j, ok := parseJob(b); ok && string(j.marshal()) != string(b) {
			t.Fatalf("%q becomes %q", b, j.marshal())
		}
	})
}

// files returns every file's content by its name, folders with a slash.
func files(t *testing.T, m *fsx.Mem, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := m.ReadDir(dir)
	require.NoError(t, err)
	for _, n := range names {
		n = filepath.Join(dir, n)
		if fi, err := m.Stat(n); err == nil && fi.IsDir() {
			all[n+"/"] = ""
			for k, v := range files(t, m, n) {
				all[k] = v
			}
			continue
		}
		b, err := m.ReadFile(n)
		require.NoError(t, err)
		all[n] = string(b)
	}
	return all
}

// TestStrangersFilesStay: what no interrupted run left is neither used nor removed.
func TestStrangersFilesStay(t *testing.T) {
	data := content(4, 100_000)
	for _, c := range []struct {
		name  string
		plant func(t *testing.T, m *fsx.Mem)
	}{
		{"a file", func(t *testing.T, m *fsx.Mem) { require.NoError(t, m.WriteFile(name+newSuffix, []byte("mine"))) }},
		{"a volume", func(t *testing.T, m *fsx.Mem) {
			s, err := blockstore.Create(name+newSuffix, newKeyring(t, 256), blockstore.CreateOptions{Options: blockstore.Options{FS: m}, Size: 50_000})
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}},
		{"a journal folder", func(t *testing.T, m *fsx.Mem) {
			require.NoError(t, m.Mkdir(name+newSuffix+journalSuffix, 0o700))
			require.NoError(t, m.WriteFile(name+newSuffix+journalSuffix+"/notes", []byte("mine")))
		}},
		{"no job's file", func(t *testing.T, m *fsx.Mem) { require.NoError(t, m.WriteFile(name+jobSuffix, []byte("mine"))) }},
		{"another volume than the job's", func(t *testing.T, m *fsx.Mem) {
			require.NoError(t, m.WriteFile(name+jobSuffix, job{jobEncrypt, blockstore.NewUUID()}.marshal()))
			s, err := blockstore.Create(name+newSuffix, newKeyring(t, 256), blockstore.CreateOptions{Options: blockstore.Options{FS: m}, Size: 50_000})
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}},
		{"no volume where the job has one", func(t *testing.T, m *fsx.Mem) {
			require.NoError(t, m.WriteFile(name+jobSuffix, job{jobEncrypt, blockstore.NewUUID()}.marshal()))
			require.NoError(t, m.WriteFile(name+newSuffix, []byte("mine")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ring := memWith(t, data), newKeyring(t, 256)
			c.plant(t, m)
			before := files(t, m, ".")
			_, err := encrypt(m, ring)
			require.ErrorIs(t, err, ErrInTheWay)
			require.ErrorIs(t, err, fault.State)
			require.NotEmpty(t, fault.HintOf(err))
			require.Equal(t, before, files(t, m, "."))
			if strings.Contains(c.name, "the job") {
				return // a decryption throws away what its job's file says is Coffer's
			}

			m = memWith(t, data)
			_, err = encrypt(m, ring)
			require.NoError(t, err)
			c.plant(t, m)
			before = files(t, m, ".")
			_, err = decrypt(m, ring)
			require.ErrorIs(t, err, ErrInTheWay)
			require.Equal(t, before, files(t, m, "."), "the volume was not opened either")
			if c.name == "a file" {
				_, err = Abandon(name, m)
				require.ErrorIs(t, err, ErrInTheWay)
				require.Equal(t, before, files(t, m, "."))
			}
		})
	}
}

// TestPlainTextDoesNotStay: a decryption that fails leaves none, one that is
// interrupted says where it is, and it can be removed.
func TestPlainTextDoesNotStay(t *testing.T) {
	m, ring := memWith(t, content(9, 4<<20)), newKeyring(t, 256)
	_, err := encrypt(m, ring)
	require.NoError(t, err)
	var notes []string
	interruptAt(t, m, ring, 2<<20, func(ctx context.Context, o Options) error {
		o.Note = func(s string) { notes = append(notes, s) }
		_, err := Decrypt(ctx, name, ring, &DecryptOptions{Options: o})
		return err
	})
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "plain text")
	require.Contains(t, notes[0], name+newSuffix)
	names, err := m.ReadDir(".")
	require.NoError(t, err)
	require.Equal(t, []string{name, name + jobSuffix, name + newSuffix}, names)

	removed, err := Abandon(name, m)
	require.NoError(t, err)
	require.Equal(t, []string{name + newSuffix}, removed)
	requireAlone(t, m)
	removed, err = Abandon(name, m)
	require.NoError(t, err)
	require.Empty(t, removed)
}

// TestAnotherVolumesPlainText: plain text of one volume is neither taken up for
// another nor removed.
func TestAnotherVolumesPlainText(t *testing.T) {
	data := content(9, 300_000)
	m, ring := memWith(t, data), newKeyring(t, 256)
	_, err := encrypt(m, ring)
	require.NoError(t, err)
	require.NoError(t, m.WriteFile(name+jobSuffix, job{jobDecrypt, blockstore.NewUUID()}.marshal()))
	require.NoError(t, m.WriteFile(name+newSuffix, content(1, 300_000)))
	before := files(t, m, ".")
	_, err = decrypt(m, ring)
	require.ErrorIs(t, err, ErrInTheWay)
	require.Contains(t, fault.HintOf(err), name+jobSuffix)
	require.Equal(t, before, files(t, m, "."))
	_, err = Abandon(name, m)
	require.ErrorIs(t, err, ErrInTheWay)
	require.Equal(t, before, files(t, m, "."))

	require.NoError(t, m.Remove(name+newSuffix)) // the job alone stands in nobody's way
	res, err := decrypt(m, ring)
	require.NoError(t, err)
	require.False(t, res.Resumed)
	requirePlain(t, m, data)
}

// TestSpaceWhileBuilding: about the file's size is what it takes.
func TestSpaceWhileBuilding(t *testing.T) {
	for _, size := range []int{10_000, 5 << 20, 60 << 20} {
		m, ring := memWith(t, content(3, size)), newKeyring(t, 256)
		before, peak := m.Used(), int64(0)
		o := &EncryptOptions{Options: Options{FS: m, Progress: func(Pass, int64, int64) { peak = max(peak, m.Used()-before) }}}
		_, err := Encrypt(context.Background(), name, ring, o)
		require.NoError(t, err)
		t.Logf("%d bytes: %d at most, %d are asked for", size, peak, volumeBytes(int64(size), defaultBlockSize))
		require.LessOrEqual(t, peak, volumeBytes(int64(size), defaultBlockSize))
		require.Less(t, volumeBytes(int64(size), defaultBlockSize), int64(size)+int64(size)/32+max(11<<20, min(42<<20, int64(size)*5/8+1<<20)))
	}
}

// On the operating system's files.

// TestLeftWithAnotherMode: a run killed just before the rename left a file with
// its final mode; others may have opened it since.
func TestLeftWithAnotherMode(t *testing.T) {
	if os.PathSeparator == '\\' {
		t.Skip("there are no modes")
	}
	data, ring := content(31, 70_000), newKeyring(t, 256)
	path := filepath.Join(t.TempDir(), "table")
	require.NoError(t, os.WriteFile(path, data, 0o640))
	res, err := Encrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(path+jobSuffix, job{jobDecrypt, res.Volume}.marshal(), 0o600))
	require.NoError(t, os.WriteFile(path+newSuffix, data, 0o644))
	old, err := os.Open(path + newSuffix)
	require.NoError(t, err)
	defer old.Close()
	res, err = Decrypt(context.Background(), path, ring, nil)
	require.NoError(t, err)
	require.False(t, res.Resumed)
	a, err := old.Stat()
	require.NoError(t, err)
	b, err := os.Stat(path)
	require.NoError(t, err)
	require.False(t, os.SameFile(a, b), "a new file was made")
	require.Equal(t, os.FileMode(0o640), b.Mode().Perm())
}

// TestLeftWithOtherNames: what lies there has another name, which would go on meaning it.
func TestLeftWithOtherNames(t *testing.T) {
	data, ring := content(31, 70_000), newKeyring(t, 256)
	path := filepath.Join(t.TempDir(), "table")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	require.NoError(t, os.WriteFile(path+jobSuffix, job{op: jobEncrypt}.marshal(), 0o600))
	require.NoError(t, os.WriteFile(path+newSuffix, data, 0o600))
	require.NoError(t, os.Link(path+newSuffix, path+".victim"))
	_, err := Encrypt(context.Background(), path, ring, nil)
	require.ErrorIs(t, err, ErrInTheWay)
	got, err := os.ReadFile(path + ".victim")
	require.NoError(t, err)
	require.Equal(t, data, got)
}
