package sqlitevfs

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/plainfile"
)

// TestMoved: a plain database, in WAL mode too, becomes a volume and is used;
// what comes back is a database of which Debian's sqlite3 says the same as the VFS did, in the mode it was in.
func TestMoved(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			if _, err := exec.LookPath("sqlite3"); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal("sqlite3 is missing: apt-get install sqlite3")
				}
				t.Skip("sqlite3 is missing: apt-get install sqlite3")
			}
			s := set(t, nil)
			path := s.path("m.db")
			plain, err := sql.Open("sqlite3", "file:"+path+"?_pragma=journal_mode("+mode+")")
			require.NoError(t, err)
			fill(t, plain, 300)
			require.NoError(t, plain.Close())
			before := dump(t, path)

			ctx := context.Background()
			_, err = plainfile.Encrypt(ctx, path, s.keys, nil)
			require.NoError(t, err)
			db := s.open("m.db")
			require.Equal(t, "300", one(t, db, "SELECT count(*) FROM t"))
			s.close(db, "m.db")
			_, err = plainfile.Decrypt(ctx, path, s.keys, nil)
			require.NoError(t, err)
			require.Equal(t, before, dump(t, path))

			_, err = plainfile.Encrypt(ctx, path, s.keys, nil)
			require.NoError(t, err)
			db = s.open("m.db")
			do(t, db, "INSERT INTO t (x, y) SELECT 'more '||id, y FROM t")
			do(t, db, "DELETE FROM t WHERE id%7=0")
			do(t, db, "VACUUM")
			want := one(t, db, digest)
			s.close(db, "m.db")
			_, err = plainfile.Decrypt(ctx, path, s.keys, nil)
			require.NoError(t, err)
			dump(t, path)
			plain, err = sql.Open("sqlite3", "file:"+path)
			require.NoError(t, err)
			require.Equal(t, want, one(t, plain, digest))
			require.Equal(t, mode, one(t, plain, "PRAGMA journal_mode"))
			require.NoError(t, plain.Close())
		})
	}
}
