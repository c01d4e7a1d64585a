package pebblefs

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// hookFS calls a hook, once, when a temporary file of a re-key has been made.
type hookFS struct {
	vfs.FS
	hook *func(name string)
}

func (h hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, c)
	if *h.hook != nil && strings.HasSuffix(name, tmpSuffix) {
		do := *h.hook
		*h.hook = nil
		do(name)
	}
	return f, err
}

// TestRekeyBesideItsWriter: what is written, synced and closed while a re-key
// copies the file is in the copy, or the file is left to another round.
func TestRekeyBesideItsWriter(t *testing.T) {
	ring, ids := testRing(t, 3)
	dir := t.TempDir()
	var hook func(string)
	fs, err := New(hookFS{vfs.Default, &hook}, ring, &Options{Key: ids[1]})
	require.NoError(t, err)
	w, err := fs.Create(dir+"/000001.log", "")
	require.NoError(t, err)
	_, err = w.Write([]byte("first"))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.NoError(t, fs.SetKey(ids[2]))
	hook = func(string) { // the log goes on, is synced, and is rotated away
		_, err := w.Write([]byte("acknowledged"))
		require.NoError(t, err)
		require.NoError(t, w.Sync())
		require.NoError(t, w.Close())
	}
	_, err = fs.reseal(dir + "/000001.log") // as Rekey does with what rekeyOpen left
	require.NoError(t, err)
	if hook != nil {
		hook("") // the writer was noticed
	}
	f, err := fs.Open(dir + "/000001.log")
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "firstacknowledged", string(b))
}

// TestRekeyTwiceAtOnce: two re-keys do not take each other's temporary files for their own.
func TestRekeyTwiceAtOnce(t *testing.T) {
	ring, ids := testRing(t, 3)
	dir := t.TempDir()
	var hook func(string)
	fs, err := New(hookFS{vfs.Default, &hook}, ring, &Options{Key: ids[1]})
	require.NoError(t, err)
	w, err := fs.Create(dir+"/000001.sst", "")
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, w.Sync())
	require.NoError(t, w.Close())
	require.NoError(t, fs.SetKey(ids[2]))
	started, goOn := make(chan struct{}), make(chan struct{})
	second := make(chan error, 1)
	hook = func(string) { // first has created its tmp; the second one now creates its own, and stops there
		hook = func(string) { close(started); <-goOn }
		go func() { _, err := fs.Rekey(t.Context(), []string{dir}, nil); second <- err }()
		select {
		case <-started:
		case <-time.After(200 * time.Millisecond):
			close(goOn)
		}
	}
	_, err = fs.Rekey(t.Context(), []string{dir}, nil)
	require.NoError(t, err)
	f, err := fs.Open(dir + "/000001.sst") // while the second works, if it does
	if err == nil {
		require.NoError(t, f.Close())
	}
	select {
	case <-goOn:
	default:
		close(goOn)
	}
	require.NoError(t, <-second)
	require.NoError(t, err)
}
