package sqlitevfs

import (
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/stretchr/testify/require"
)

// TestMovedUntilLooked: that the volume has moved on is told until SQLite could look.
func TestMovedUntilLooked(t *testing.T) {
	s, _ := onMem(t, nil)
	db := s.open("m.db")
	do(t, db, "CREATE TABLE t(x)")
	d, err := s.v.acquire(s.path("m.db"), opening{})
	require.NoError(t, err)
	f := &file{db: d}
	f.seen = 99 // its cache is of an older state
	require.NoError(t, f.Lock(vfs.LOCK_SHARED))
	require.True(t, f.moved)
	require.NoError(t, f.Unlock(vfs.LOCK_NONE)) // the 16 bytes could not be read
	require.NoError(t, f.Lock(vfs.LOCK_SHARED))
	require.True(t, f.moved, "the cache is still the old one")
	require.NoError(t, f.Unlock(vfs.LOCK_NONE))
	require.NoError(t, f.Close())
}
