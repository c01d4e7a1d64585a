package main

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver" // for database/sql: "sqlite3"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/fault"
)

// envDSN stands in for --dsn, and may have a password in it.
const envDSN = "COFFER_DSN"

var (
	// keywordDSN are libpq's keywords: host=/tmp dbname=app.
	keywordDSN = regexp.MustCompile(`^\s*(host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options|application_name)\s*=`)
	// passwordInDSN is a password among them.
	passwordInDSN = regexp.MustCompile(`(?i)(^|\s)(ssl)?password\s*=`)
)

var errPasswordInDSN = fault.Hint(usagef("--dsn has a password in it, and everybody on this machine can read command lines"),
	"Put the password into ~/.pgpass or PGPASSFILE, or the whole into "+envDSN+".")

func hasPassword(dsn string) bool {
	if !strings.Contains(dsn, "://") {
		return passwordInDSN.MatchString(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return strings.Contains(dsn, "@") // whatever it is
	}
	_, set := u.User.Password()
	q := u.Query()
	return set || q.Has("password") || q.Has("sslpassword")
}

func openPostgres(dsn string) (*sql.DB, retable.Dialect, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, 0, usagef("--dsn is none that PostgreSQL takes; it is not repeated here")
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "coffer"
	}
	// Keys stand in contexts as the server writes them: always in the same way.
	for name, value := range map[string]string{"timezone": "UTC", "datestyle": "ISO, MDY"} {
		c.RuntimeParams[name] = value
	}
	return stdlib.OpenDB(*c), retable.PostgreSQL, nil
}

// openSQLite opens a file that is there, given as its path or as a URI of
// SQLite's. It is never made.
func openSQLite(dsn string) (*sql.DB, retable.Dialect, error) {
	path := dsn
	for _, prefix := range []string{"sqlite://", "sqlite3://", "sqlite:", "sqlite3:"} {
		path = strings.TrimPrefix(path, prefix)
	}
	uri := path
	if !strings.HasPrefix(path, "file:") {
		if err := mustBeFile("database", path); err != nil {
			return nil, 0, fault.Hint(err, "--dsn is postgres://USER@HOST/DATABASE, or the path of a SQLite file.")
		}
		uri = "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	}
	if err := isSQLite(path); err != nil {
		return nil, 0, err
	}
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
	}
	db, err := sql.Open("sqlite3", uri+sep+"mode=rw&_pragma=busy_timeout(60000)")
	if err != nil {
		return nil, 0, fmt.Errorf("SQLite: %w", err)
	}
	return db, retable.SQLite, nil
}

// isSQLite refuses other files by what they begin with, so that a volume is
// called one.
func isSQLite(path string) error {
	if strings.HasPrefix(path, "file:") {
		return nil // SQLite says so itself
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(sqliteMagic))
	if n, _ := f.ReadAt(head, 0); n > 0 && string(head) != sqliteMagic {
		return usagef("%s is not a SQLite database", path)
	}
	return nil
}

// sqliteMagic begins every database that has something in it.
const sqliteMagic = "SQLite format 3\x00"

func sortIDs(list []dek.ID) { slices.SortFunc(list, dek.ID.Compare) }
