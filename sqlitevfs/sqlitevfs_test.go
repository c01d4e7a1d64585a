package sqlitevfs

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

const needle = "the quick brown fox jumps over the encrypted dog"

func TestFirst(t *testing.T) {
	s := set(t, nil)
	db := s.open("app.db")
	do(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
	do(t, db, "INSERT INTO t (x) VALUES (?), (?)", needle, "b")
	require.Equal(t, []string{"1|" + needle, "2|b"}, rows(t, db, "SELECT id, x FROM t"))
	sound(t, db)
	s.close(db, "app.db")

	raw, err := os.ReadFile(s.path("app.db"))
	require.NoError(t, err)
	require.False(t, bytes.Contains(raw, []byte(needle)))
	require.False(t, bytes.Contains(raw, []byte("SQLite format 3")))
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing lies beside a closed volume")

	db = s.open("app.db")
	require.Equal(t, "2", one(t, db, "SELECT count(*) FROM t"))
	tx, err := db.Begin()
	require.NoError(t, err)
	do(t, tx, "DELETE FROM t")
	require.NoError(t, tx.Rollback())
	require.Equal(t, "2", one(t, db, "SELECT count(*) FROM t"))
}
