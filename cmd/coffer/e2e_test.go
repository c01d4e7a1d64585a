package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
)

// e2eMB is the size of the database in MiB: COFFER_E2E_MB, or a few.
func e2eMB(t *testing.T) int {
	text := os.Getenv("COFFER_E2E_MB")
	if text == "" {
		return 4
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "COFFER_E2E_MB")
	require.Positive(t, n, "COFFER_E2E_MB")
	return n
}

// sqlite3 runs the sqlite3 program on a script.
func sqliteShell(t *testing.T, db, script string) string {
	t.Helper()
	c := exec.Command("sqlite3", "-batch", "-bail", db)
	c.Stdin = strings.NewReader(script)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "sqlite3: %s", out)
	return string(out)
}

func needSQLite(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		const what = "the sqlite3 program is not installed (Debian and Ubuntu: apt-get install sqlite3; macOS has it)"
		if os.Getenv("CI") == "true" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
}

// makeDatabase puts a real tree of files, Go's own source, into a database.
func makeDatabase(t *testing.T, path string, mb int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("PRAGMA page_size=4096;\nCREATE TABLE files(id INTEGER PRIMARY KEY, name TEXT, data BLOB);\nCREATE INDEX names ON files(name);\nBEGIN;\n")
	total, want := int64(0), int64(mb)<<20
	for round := 0; total < want; round++ {
		before := total
		err := filepath.WalkDir(goSource(t), func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.ContainsAny(file, "'\n") {
				return err
			}
			if total >= want {
				return fs.SkipAll
			}
			fi, err := e.Info()
			if err != nil {
				return err
			}
			total += fi.Size()
			fmt.Fprintf(&b, "INSERT INTO files(name, data) VALUES('%d/%s', readfile('%s'));\n", round, file, file)
			return nil
		})
		require.NoError(t, err)
		require.Greater(t, total, before, "Go's source is there")
	}
	b.WriteString("COMMIT;\n")
	sqliteShell(t, path, b.String())
}

func goSource(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		//lint:ignore SA1019 without the go command there is nothing better
		return filepath.Join(runtime.GOROOT(), "src")
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src")
}

// TestDatabaseEndToEnd does with every suite and key size what a person would
// do with a real database, and kills the program at it.
func TestDatabaseEndToEnd(t *testing.T) {
	needSQLite(t)
	original := filepath.Join(t.TempDir(), "original.db")
	makeDatabase(t, original, e2eMB(t))
	plain, err := os.ReadFile(original)
	require.NoError(t, err)
	for _, c := range []struct {
		cipher string
		bits   []string
	}{
		{"aes-gcm", []string{"128", "192", "256"}}, {"aes-cbc", []string{"128", "192", "256"}}, {"aes-xts", []string{"128", "256"}},
	} {
		for _, bits := range c.bits {
			t.Run(c.cipher+"-"+bits, func(t *testing.T) {
				if s, err := blockstore.ParseSuite(c.cipher); err != nil || s.Allowed(true) != nil {
					t.Skip("not in FIPS mode")
				}
				d := newDesk(t, bits)
				require.NoError(t, os.WriteFile(d.path("a.db"), plain, 0o640))
				d.ok("encrypt", "a.db", "--cipher", c.cipher)
				requireNoPlaintext(t, d.path("a.db"), plain)
				d.ok("verify", "a.db")
				last := rekeyUnderFire(d, plain)
				requireRekeyed(d, last, c.cipher, bits)
				requireNoPlaintext(t, d.path("a.db"), plain)
				d.ok("decrypt", "a.db")
				requireSameFile(t, d.path("a.db"), plain)
				require.Equal(t, "ok\n", sqliteShell(t, d.path("a.db"), "PRAGMA integrity_check;"))
			})
		}
	}
}

// requireNoPlaintext looks for pieces of the plain file in the volume.
func requireNoPlaintext(t *testing.T, path string, plain []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, text := range []string{"SQLite format 3", "CREATE TABLE", "package main", "func ("} {
		require.Contains(t, string(plain), text)
		require.NotContains(t, string(raw), text)
	}
	const samples, length = 64, 24
	for i := range samples {
		off := len(plain) / samples * i
		piece := plain[off : off+length]
		if len(bytes.Trim(piece, "\x00")) > length/2 {
			require.False(t, bytes.Contains(raw, piece), "plaintext of offset %d", off)
		}
	}
}

func requireSameFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got), "%s is identical to the byte", filepath.Base(path))
}

// rekeyUnderFire kills re-keys until one is through, and returns the key that
// was printed last.
func rekeyUnderFire(d *desk, plain []byte) (last string) {
	const kills = 8
	rng := rand.New(rand.NewPCG(uint64(len(plain)), 5))
	recorded, landed := "", 0
	for n := 0; ; n++ {
		c := d.start("rekey", "a.db", "--new-key", "--progress", "json")
		id := c.line(isID)
		require.True(d.t, id != "" || recorded == "" && n < kills, "it prints the key's ID: %s", c.stderr)
		if recorded != "" {
			require.Equal(d.t, recorded, id, "it goes on to the recorded target")
		}
		last = id
		code := 0
		if n < kills {
			time.Sleep(time.Duration(rng.IntN(12_000*max(1, len(plain)>>22))) * time.Microsecond)
			code = c.signal(syscall.SIGKILL)
		} else {
			code = c.wait()
		}
		require.True(d.t, recorded == "" || strings.Contains(c.stderr.String(), "going on"), "it says so: %s", c.stderr)
		if code == 0 {
			d.t.Logf("%d kills, of which %d found the conversion recorded", n, landed)
			return last
		}
		require.Equal(d.t, -1, code, "%s", c.stderr)
		if info := d.info("a.db"); info.Conversion != nil {
			recorded = info.Conversion.To.String()
			require.Equal(d.t, last, recorded)
			landed++
			d.checkHalfWay(landed, recorded, plain)
		} else if recorded != "" {
			require.Equal(d.t, recorded, info.WriteKey.String(), "only a finished conversion is recorded no more")
			recorded = "" // it was through when the kill came; the next run is another re-key
		}
	}
}

// checkHalfWay looks at a volume that was killed in a re-key.
func (d *desk) checkHalfWay(landed int, target string, plain []byte) {
	d.t.Helper()
	if landed > 1 {
		d.ok("verify", "a.db")
		return
	}
	d.requireReadingWritesNothing("a.db")
	require.Contains(d.t, d.ok("journal", "list", "a.db"), target, "the journal is under the new key")
	_, errs, code := d.run("rekey", "a.db", "--to-key", d.key)
	require.Equal(d.t, exitState, code, "another target is refused: %s", errs)
	require.Contains(d.t, errs, target)
	d.copyVolume("a.db", "copy.db")
	d.ok("decrypt", "copy.db")
	requireSameFile(d.t, d.path("copy.db"), plain)
}

// copyVolume copies a volume and its journal.
func (d *desk) copyVolume(from, to string) {
	d.t.Helper()
	for _, suffix := range []string{"", ".journal"} {
		src := d.path(from + suffix)
		fi, err := os.Stat(src)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(d.t, err)
		if fi.IsDir() {
			require.NoError(d.t, os.CopyFS(d.path(to+suffix), os.DirFS(src)))
			continue
		}
		b, err := os.ReadFile(src)
		require.NoError(d.t, err)
		require.NoError(d.t, os.WriteFile(d.path(to+suffix), b, 0o600))
	}
}

func (d *desk) info(name string) *blockstore.Info {
	d.t.Helper()
	info, err := blockstore.Inspect(d.path(name), nil)
	require.NoError(d.t, err)
	return info
}

// requireRekeyed: nothing needs the old key, and only the recorded target was made use of.
func requireRekeyed(d *desk, last, cipher, bits string) {
	d.t.Helper()
	out := d.ok("info", "a.db", "--json")
	require.NotContains(d.t, out, d.key, "the old key is named no more")
	require.Contains(d.t, out, last)
	info := d.info("a.db")
	require.Nil(d.t, info.Conversion)
	require.Equal(d.t, last, info.WriteKey.String())
	require.Equal(d.t, last, info.JournalKey.String())
	require.Equal(d.t, cipher, info.Suite)
	require.Len(d.t, info.Keys, 1)
	require.Equal(d.t, bits, strconv.Itoa(info.Keys[0].Bits))
	require.NoDirExists(d.t, d.path("a.db.journal"))

	// A key file with the new key only opens it.
	d.ok("keyfile", "create", "only", "--iterations", "65536")
	d.ok("keyfile", "copy-key", "keys", last, "only")
	d.ok("verify", "a.db", "--keyfile", "only")
	var report map[string]any
	require.NoError(d.t, json.Unmarshal([]byte(d.ok("verify", "a.db", "--json", "--keyfile", "only")), &report))
}
