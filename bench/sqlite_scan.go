package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// scan measures reading a whole table from a file that the system's page cache does not have.
func (r *sqliteRun) scan(ctx context.Context) (string, error) {
	if err := dropCached(r.dir); err != nil {
		return "", err
	}
	unregister, err := r.register()
	if err != nil {
		return "", err
	}
	defer unregister()
	rows := 2500 * r.o.Size
	coffer, plain := r.file("scan.coffer"), r.file("scan.db")
	uris := map[string]string{coffer: "file:" + coffer + "?vfs=" + sqliteVFS, plain: "file:" + plain}
	for path, uri := range uris {
		r.progress("scan/cold: %d rows into %s", rows, path)
		if err := fillScan(uri, rows); err != nil {
			return "", err
		}
	}
	side := func(path string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return coldScan(path, uris[path], rows) }
	}
	return fmt.Sprintf("opening and summing over %d rows of 1,000 bytes, nothing in the page cache / on a plain file", rows),
		r.inTurn(ctx, "scan/cold", true, side(coffer), side(plain))
}

// fillScan makes a database with one table.
func fillScan(uri string, rows int) error {
	conn, err := sqlite3.Open(uri)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)"); err != nil {
		return err
	}
	return conn.Exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
		INSERT INTO t SELECT i, printf('%%-1000d', i) FROM n`, rows))
}

// coldScan opens a database whose file is not cached and reads every row.
func coldScan(path, uri string, rows int) (took time.Duration, err error) {
	if err := dropCached(path); err != nil {
		return 0, err
	}
	start := time.Now()
	conn, err := sqlite3.Open(uri)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	s, _, err := conn.Prepare("SELECT sum(length(x)) FROM t WHERE substr(x, 1, 1) <> 'z'") // looks at what is in a row
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if !s.Step() || s.ColumnInt64(0) != int64(rows)*1000 {
		return 0, fmt.Errorf("the sum is %d: %w", s.ColumnInt64(0), s.Err())
	}
	return time.Since(start), nil
}
