package sqlitevfs

import (
	"fmt"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"
)

// beside runs a benchmark over a volume and, for comparison, over a plain file.
func beside(b *testing.B, run func(b *testing.B, conn *sqlite3.Conn)) {
	for _, side := range []string{"coffer", "wal-full"} {
		b.Run(side, func(b *testing.B) {
			s := set(b, nil)
			uri := s.uri("b.db")
			if side != "coffer" {
				uri = "file:" + s.path("plain.db") + "?_pragma=journal_mode(wal)&_pragma=synchronous(full)"
			}
			conn, err := sqlite3.Open(uri)
			require.NoError(b, err)
			defer conn.Close()
			b.ReportAllocs()
			run(b, conn)
		})
	}
}

func BenchmarkCommit(b *testing.B) {
	beside(b, func(b *testing.B, conn *sqlite3.Conn) {
		require.NoError(b, conn.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)"))
		insert, _, err := conn.Prepare("INSERT INTO t (x) VALUES ('a row of some length, as rows are')")
		require.NoError(b, err)
		defer insert.Close()
		for b.Loop() {
			if err := insert.Exec(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRead reads rows by key, in a transaction each, of a table that SQLite's own cache does not hold and the volume's does.
func BenchmarkRead(b *testing.B) {
	const rows = 20000
	beside(b, func(b *testing.B, conn *sqlite3.Conn) {
		require.NoError(b, conn.Exec(fmt.Sprintf(`CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);
			WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO t SELECT i, printf('%%1000d', i) FROM n`, rows)))
		get, _, err := conn.Prepare("SELECT length(x) FROM t WHERE id=?")
		require.NoError(b, err)
		defer get.Close()
		n := int64(0)
		for b.Loop() {
			n = (n*7919 + 1) % rows
			if err := get.BindInt64(1, n+1); err != nil {
				b.Fatal(err)
			}
			if !get.Step() || get.ColumnInt64(0) != 1000 {
				b.Fatal(get.Err())
			}
			if err := get.Reset(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
