package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/keyfile"
)

// halfWay leaves a volume with a conversion that stopped after it was recorded.
func (d *desk) halfWay(name string, allowPlain bool, target func(*dek.Keyring) blockstore.Conversion) {
	d.t.Helper()
	pw, err := readPasswordFile(d.path("pw"))
	require.NoError(d.t, err)
	f, err := keyfile.Open(d.path("keys"), keyfile.Credentials{Admin: "alice", Password: pw}, nil)
	require.NoError(d.t, err)
	ring := dek.NewKeyring()
	_, err = f.Activate(ring, dek.Database, dek.Active)
	require.NoError(d.t, err)
	s, err := blockstore.Open(d.path(name), ring, &blockstore.Options{AllowPlain: allowPlain})
	require.NoError(d.t, err)
	c, err := s.Convert(context.Background(), target(ring))
	require.NoError(d.t, err)
	c.Stop()
	_, err = c.Wait()
	require.ErrorIs(d.t, err, context.Canceled, "it stops before the end")
	require.NoError(d.t, s.Close())
	require.NotNil(d.t, d.info(name).Conversion)
}

func toKey(t *testing.T, text string) func(*dek.Keyring) blockstore.Conversion {
	id, err := dek.ParseID(text)
	require.NoError(t, err)
	return func(*dek.Keyring) blockstore.Conversion { return blockstore.Conversion{Key: id} }
}

func toNone(*dek.Keyring) blockstore.Conversion { return blockstore.Conversion{Suite: blockstore.None} }

func toDefault(ring *dek.Keyring) blockstore.Conversion {
	id, _ := ring.Default()
	return blockstore.Conversion{Suite: halfSuite(), Key: id}
}

// halfSuite is not the default one, outside FIPS mode.
func halfSuite() blockstore.Suite {
	if blockstore.AESCBC.Allowed(true) != nil {
		return blockstore.AESGCM
	}
	return blockstore.AESCBC
}

// refused wants exit code 5.
func (d *desk) refused(args ...string) {
	d.t.Helper()
	out, errs, code := d.run(args...)
	require.Equal(d.t, exitState, code, "coffer %v\n%s%s", args, out, errs)
}

func TestHalfDecrypted(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 8<<20)
	d.ok("encrypt", "a.db")
	d.halfWay("a.db", true, toNone)
	d.copyVolume("a.db", "b.db")

	d.refused("encrypt", "a.db")
	d.refused("rekey", "a.db", "--new-key")
	require.Equal(t, 1, countKeys(d))
	require.Equal(t, string(content), d.ok("cat", "a.db"), "an ordinary open works, and does not go on")
	require.NotNil(t, d.info("a.db").Conversion)

	_, errs, code := d.run("decrypt", "a.db", "--to-volume")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "going on with")
	require.Equal(t, "none", d.info("a.db").Suite)
	d.refused("cat", "a.db")
	require.Equal(t, string(content), d.ok("cat", "a.db", "--cipher", "none"))

	d.ok("decrypt", "b.db")
	requireSameFile(t, d.path("b.db"), content)
}

func TestHalfEncrypted(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 8<<20)
	d.ok("encrypt", "a.db")
	d.ok("decrypt", "a.db", "--to-volume")
	d.halfWay("a.db", true, toDefault)
	d.copyVolume("a.db", "b.db")

	d.refused("encrypt", "a.db", "--cipher", "aes-xts")
	d.refused("rekey", "a.db", "--new-key")
	_, errs, code := d.run("encrypt", "a.db")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "going on with")
	require.Equal(t, halfSuite().String(), d.info("a.db").Suite)
	d.ok("verify", "a.db")
	require.Equal(t, string(content), d.ok("cat", "a.db"))

	d.ok("decrypt", "b.db")
	requireSameFile(t, d.path("b.db"), content)
}

func TestHalfRekeyed(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 8<<20)
	d.ok("encrypt", "a.db")
	second := d.ok("keyfile", "add-key", "keys")[:36]
	d.halfWay("a.db", false, toKey(t, second))
	d.copyVolume("a.db", "b.db")

	// One of the two keys is not enough.
	d.ok("keyfile", "create", "only", "--iterations", "65536")
	d.ok("keyfile", "copy-key", "keys", second, "only")
	for _, args := range [][]string{{"cat", "a.db"}, {"decrypt", "a.db"}, {"verify", "a.db"}, {"rekey", "a.db", "--to-key", second}} {
		_, errs, code := d.run(append(args, "--keyfile", "only")...)
		require.Equal(t, exitKey, code, "%v: %s", args, errs)
		require.Contains(t, errs, d.key, "it names the key that is missing")
	}
	d.refused("encrypt", "a.db")

	// In place to suite none: the re-key is finished first.
	_, errs, code := d.run("decrypt", "a.db", "--to-volume")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "finishing the interrupted rekey")
	require.Equal(t, string(content), d.ok("cat", "a.db", "--cipher", "none"))

	out := d.ok("rekey", "b.db", "--new-key")
	require.Equal(t, second+"\n", out, "no second key: the recorded target")
	require.Equal(t, 2, countKeys(d))
	d.ok("decrypt", "b.db", "--keyfile", "only")
	requireSameFile(t, d.path("b.db"), content)
}

// TestSQLiteHoldsTheDatabase: a database that the sqlite3 program has open is refused.
func TestSQLiteHoldsTheDatabase(t *testing.T) {
	needSQLite(t)
	for _, c := range []struct{ name, script string }{
		{"writing", "CREATE TABLE t(x); INSERT INTO t VALUES(1);\nBEGIN EXCLUSIVE;\n.shell touch ready\n"},
		{"reading", "CREATE TABLE t(x); INSERT INTO t VALUES(1);\nBEGIN; SELECT * FROM t;\n.shell touch ready\n"},
		{"write-ahead log", "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1);\n.shell touch ready\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDesk(t, "256")
			db := exec.Command("sqlite3", "-batch", "a.db")
			db.Dir = d.dir
			in, err := db.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, db.Start())
			_, err = in.Write([]byte(c.script))
			require.NoError(t, err)
			require.Eventually(t, func() bool {
				_, err := os.Stat(filepath.Join(d.dir, "ready"))
				return err == nil
			}, time.Minute, 10*time.Millisecond)
			d.refused("encrypt", "a.db")
			require.NoError(t, in.Close())
			require.NoError(t, db.Wait())
			d.ok("encrypt", "a.db")
			d.ok("decrypt", "a.db")
			require.Equal(t, "ok\n", sqliteShell(t, d.path("a.db"), "PRAGMA integrity_check;"))
		})
	}
}

// requireReadingWritesNothing: reading verbs leave every file as it is, even after a crash.
func (d *desk) requireReadingWritesNothing(name string) {
	d.t.Helper()
	before := d.files(name)
	for _, args := range [][]string{{"info", name}, {"verify", name}, {"cat", name, "--length", "10"}, {"anchor", name}, {"journal", "list", name}} {
		d.ok(args...)
		require.Equal(d.t, before, d.files(name), "coffer %v", args)
	}
}

// files returns the content of a volume and its journal, by name.
func (d *desk) files(name string) map[string]string {
	d.t.Helper()
	all := map[string]string{}
	paths, err := filepath.Glob(d.path(name + ".journal/*"))
	require.NoError(d.t, err)
	for _, path := range append(paths, d.path(name)) {
		b, err := os.ReadFile(path)
		require.NoError(d.t, err)
		all[path] = string(b)
	}
	return all
}

// TestRekeyTurnedAround: --to-key OLD alone is refused while a re-key is unfinished, --back takes it back.
func TestRekeyTurnedAround(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 4<<20)
	d.ok("encrypt", "a.db")
	other := strings.TrimSpace(d.ok("keyfile", "add-key", "keys", "--description", "next"))
	d.halfWay("a.db", false, toKey(t, other))
	d.refused("rekey", "a.db", "--to-key", d.key)
	_, errs, code := d.run("rekey", "a.db", "--to-key", d.key, "--back", "--new-key")
	require.Equal(t, exitUsage, code, errs)
	_, errs, code = d.run("rekey", "a.db", "--to-key", d.key, "--back", "--rate", "900MB/s", "--share", "100")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "around")
	require.Contains(t, errs, other, "the key that is not needed any more is named")
	info := d.info("a.db")
	require.Nil(t, info.Conversion)
	require.Equal(t, d.key, info.WriteKey.String())
	require.Len(t, info.Keys, 1)
	require.Equal(t, string(content), d.ok("cat", "a.db"))
	d.ok("verify", "a.db")
	d.ok("keyfile", "delete-key", "keys", other, "--volume", "a.db", "--yes")
}

func TestRateFlag(t *testing.T) {
	for text, want := range map[string]int64{
		"200MB/s": 200e6, "200 MB/s": 0, "1kB/s": 1000, "3gb": 3e9, "64MiB/s": 64 << 20, "2M": 2 << 20, "5000": 5000,
		"0": 0, "-1MB": 0, "fast": 0, "MB/s": 0, "9999999999999GB": 0, "1.5MB/s": 0,
	} {
		var r byteRate
		if err := r.Set(text); want == 0 {
			require.Error(t, err, text)
			continue
		} else {
			require.NoError(t, err, text)
		}
		require.EqualValues(t, want, r, text)
	}
}
