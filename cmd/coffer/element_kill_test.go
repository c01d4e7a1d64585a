package main

import (
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/internal/pgtest"
	"github.com/cofferdb/coffer/keyfile"
)

// TestTableKilled re-keys a table with the program while writers go on, kills it by
// SIGKILL again and again, and lets it go on: no value is lost, none is doubled, none
// is left under the old key.
func TestTableKilled(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		d := newDesk(t, "256")
		uri := "file:" + (&url.URL{Path: d.path("app.db")}).EscapedPath()
		db, err := sql.Open("sqlite3", uri+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)")
		require.NoError(t, err)
		tableKilled(t, d, db, "app.db", "--checkpoint", "place")
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := pgtest.Start(t).DSN()
		db, err := sql.Open("pgx", dsn)
		require.NoError(t, err)
		tableKilled(t, newDesk(t, "256"), db, dsn, "--checkpoint-table", "places")
	})
}

func tableKilled(t *testing.T, d *desk, db *sql.DB, dsn string, checkpoint ...string) {
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	const rows = 400
	kills, seed := setting(t, "COFFER_TABLE_KILLS", 3), uint64(setting(t, "COFFER_TABLE_SEED", 7))
	if testing.Short() {
		kills = 2
	}
	after := strings.TrimSpace(d.ok("keyfile", "add-key", "keys"))
	c, oldKey, newKey := d.elements(t, after)
	w := pgtest.StartWriters(t, db, c, oldKey, newKey, rows, 3, seed)

	args := append([]string{"element", "rekey", "--dsn", dsn, "--table", pgtest.Table, "--column", "val", "--from-key", d.key, "--to-key", after,
		"--context", pgtest.Context, "--batch", "20", "--progress", "json"}, checkpoint...)
	r := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	for range kills {
		run := d.start(append(args, "--rate", "200")...)
		for range 1 + r.IntN(3) {
			run.line(isProgress)
		}
		if run.signal(syscall.SIGKILL) == -1 {
			killed++
		}
	}
	require.NotZero(t, killed, "every run ended before it was killed")
	w.Switch()

	var report struct {
		Complete bool
		Resumed  bool
		Left     int64
		Count    struct{ Keys map[string]int64 }
	}
	require.NoError(t, json.Unmarshal([]byte(d.ok(append(args, "--json")...)), &report))
	require.True(t, report.Complete && report.Resumed)
	require.Zero(t, report.Left)
	require.Zero(t, report.Count.Keys[d.key])
	n := w.Verify()
	require.NoFileExists(t, d.path("place"))
	t.Logf("seed %d: %d kills, %d rows, %d writes beside them; 0 lost, 0 doubled, 0 left", seed, killed, n, w.Ops.Load())
}

// TestTableInterrupted stops a re-key by SIGINT: exit code 130, the place is kept, and the next run goes on there.
func TestTableInterrupted(t *testing.T) {
	d := newDesk(t, "256")
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: d.path("app.db")}).EscapedPath())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
	require.NoError(t, err)
	for i := range 60 {
		_, err = db.Exec("INSERT INTO t VALUES (?, ?)", i, "value")
		require.NoError(t, err)
	}
	args := []string{"element", "encrypt", "--dsn", "app.db", "--table", "t", "--column", "v", "--batch", "10", "--checkpoint", "place", "--progress", "json"}
	run := d.start(append(args, "--rate", "10")...)
	run.line(isProgress)
	require.Equal(t, exitInterrupted, run.signal(syscall.SIGINT))
	require.Contains(t, run.stderr.String(), "stopped by interrupt")
	require.FileExists(t, d.path("place"))
	out := d.ok(append(args, "--json")...)
	require.Contains(t, out, `"resumed": true`)
	require.Contains(t, out, `"left": 0`)
	require.NoFileExists(t, d.path("place"))
}

// setting reads a number from the environment, which make tables sets.
func setting(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// elements makes a cipher with the desk's first key and another one.
func (d *desk) elements(t *testing.T, other string) (*element.Cipher, dek.ID, dek.ID) {
	t.Helper()
	password, err := os.ReadFile(d.path("pw"))
	require.NoError(t, err)
	f, err := keyfile.Open(d.path("keys"), keyfile.Credentials{Admin: "alice", Password: []byte(strings.TrimSpace(string(password)))}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	ring := dek.NewKeyring()
	var ids []dek.ID
	for _, text := range []string{d.key, other} {
		id, err := dek.ParseID(text)
		require.NoError(t, err)
		k, err := f.Key(id)
		require.NoError(t, err)
		require.NoError(t, ring.Activate(k, dek.Element, dek.Active))
		ids = append(ids, id)
	}
	c, err := element.New(ring)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, ids[0], ids[1]
}

// TestManyKeys: values under more keys than a keyring takes for elements, in one file.
func TestManyKeys(t *testing.T) {
	d := newDesk(t, "128")
	ids := []string{d.key}
	for range 6 {
		ids = append(ids, strings.TrimSpace(d.ok("keyfile", "add-key", "keys", "--bits", "128")))
	}
	require.NoError(t, os.WriteFile(d.path("plain.csv"), []byte("a,b\n1,x\n"), 0o600))
	text := "a,b\n"
	for i, id := range ids {
		out := d.ok("element", "encrypt", "--in", "plain.csv", "--csv", "--header", "--column", "b", "--key", id)
		text += strings.TrimPrefix(out, "a,b\n")
		if i%2 == 0 { // back and forth
			text += strings.TrimPrefix(out, "a,b\n")
		}
	}
	text += text[4:]
	require.NoError(t, os.WriteFile(d.path("sealed.csv"), []byte(text), 0o600))
	rows := strings.Count(text, "\n") - 1
	require.Equal(t, "a,b\n"+strings.Repeat("1,x\n", rows), d.ok("element", "decrypt", "--in", "sealed.csv", "--csv", "--header", "--column", "b"))
	d.ok("element", "rekey", "--in", "sealed.csv", "--out", "new.csv", "--csv", "--header", "--column", "b", "--to-key", ids[0])
	info := d.ok("element", "info", "--in", "new.csv", "--csv", "--header", "--column", "b")
	require.Contains(t, info, ids[0])
	require.NotContains(t, info, ids[6])
}
