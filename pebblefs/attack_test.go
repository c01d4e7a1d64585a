package pebblefs

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/seal"
)

// below returns the bytes of a file as they lie on the disk.
func below(t testing.TB, inner vfs.FS, name string) []byte {
	t.Helper()
	b, err := slurp(inner, name)
	require.NoError(t, err)
	return b
}

// plant puts bytes on the disk.
func plant(t testing.TB, inner vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := inner.Create(name, "test")
	require.NoError(t, err)
	_, err = f.Write(bytes.Clone(b))
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func page(b []byte, i int) []byte { return b[headSize+i*pageSize:][:pageSize] }

// swapped returns a copy in which pages i and j have changed places.
func swapped(b []byte, i, j int) []byte {
	c := bytes.Clone(b)
	copy(page(c, i), page(b, j))
	copy(page(c, j), page(b, i))
	return c
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 1
	return c
}

// summed repairs the checksum of the header, as an attacker would.
func summed(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[headCRCAt:], seal.Checksum(b[:headCRCAt]))
	return b
}

func with(b []byte, i int, p []byte) []byte {
	c := bytes.Clone(b)
	copy(page(c, i), p)
	return c
}

// attackFiles makes a table and a log of 20 pages, and a second life of each name with other content.
func attackFiles(t *testing.T) (fs *FS, inner *vfs.MemFS, table, log, otherTable, otherLog []byte) {
	fs, inner = testFS(t, nil)
	rng := rand.New(rand.NewPCG(1, 1))
	content := randomBytes(rng, 20*pageData)
	for i, b := range []*[]byte{&otherTable, &table} {
		content[0] = byte(i)
		put(t, fs, "1.sst", content)
		*b = below(t, inner, "1.sst")
	}
	for i, b := range []*[]byte{&otherLog, &log} {
		f, err := fs.Create("1.log", "test")
		require.NoError(t, err)
		for j := range 20 {
			_, err := f.Write(bytes.Repeat([]byte{byte(i), byte(j)}, 700))
			require.NoError(t, err)
			require.NoError(t, f.Sync())
		}
		*b = below(t, inner, "1.log") // not closed, as after a power cut
		require.NoError(t, f.Close())
	}
	require.Len(t, table, headSize+20*pageSize)
	require.Len(t, log, headSize+20*pageSize)
	return fs, inner, table, log, otherTable, otherLog
}

// TestAttack changes files on the disk. What FORMAT.md promises to detect is ErrTampered.
func TestAttack(t *testing.T) {
	fs, inner, table, log, otherTable, otherLog := attackFiles(t)
	put(t, fs, "2.sst", []byte("another"))
	for name, c := range map[string]struct {
		file string
		b    []byte
	}{
		"flip in a table":                {"1.sst", flipped(table, headSize+7*pageSize+1000)},
		"flip in a nonce":                {"1.sst", flipped(table, headSize+7*pageSize)},
		"flip in the last page":          {"1.sst", flipped(table, len(table)-1)},
		"flip in the header":             {"1.sst", summed(flipped(table, 70))},
		"pages swapped in a table":       {"1.sst", swapped(table, 3, 4)},
		"page of another life, table":    {"1.sst", with(table, 5, page(otherTable, 5))},
		"last page of another life":      {"1.sst", with(table, 19, page(otherTable, 19))},
		"header of another life":         {"1.sst", append(bytes.Clone(otherTable[:headSize]), table[headSize:]...)},
		"page replayed further on":       {"1.sst", with(table, 6, page(table, 5))},
		"table cut at a page":            {"1.sst", table[:headSize+10*pageSize]},
		"table cut inside a page":        {"1.sst", table[:len(table)-100]},
		"table cut to its head":          {"1.sst", table[:headSize]},
		"table cut to nothing":           {"1.sst", nil},
		"table with a page behind":       {"1.sst", append(bytes.Clone(table), page(otherTable, 19)...)},
		"table with its last page twice": {"1.sst", append(bytes.Clone(table), page(table, 19)...)},
		"table under another's name":     {"2.sst", table},
		"log under another's name":       {"2.log", log},
		"log as a table":                 {"1.sst", log},
		"table as a log":                 {"1.log", table},
		"flip in a log's middle":         {"1.log", flipped(log, headSize+7*pageSize+1000)},
		"pages of a log swapped":         {"1.log", swapped(log, 3, 9)},
		"page of a log's other life":     {"1.log", with(log, 5, page(otherLog, 5))},
		"a log's middle zeroed":          {"1.log", with(log, 11, make([]byte, pageSize))},
		"a log cut to nothing":           {"1.log", nil},
	} {
		t.Run(name, func(t *testing.T) {
			plant(t, inner, c.file, c.b)
			got, err := slurp(fs, c.file)
			require.ErrorIs(t, err, ErrTampered, "%d bytes read", len(got))
			require.NotErrorIs(t, err, ErrNotCoffer)
		})
	}
	plant(t, inner, "1.sst", flipped(table, 70))
	_, err := slurp(fs, "1.sst")
	require.ErrorIs(t, err, ErrDamaged)
	plant(t, inner, "1.sst", table)
	plant(t, inner, "1.log", log)
	require.Len(t, get(t, fs, "1.sst"), 20*pageData)
	require.Len(t, get(t, fs, "1.log"), 20*1400)
}

// TestRolledBack records what is not detected without an anchor.
func TestRolledBack(t *testing.T) {
	fs, inner, _, log, otherTable, otherLog := attackFiles(t)
	plant(t, inner, "1.sst", otherTable)
	require.Equal(t, byte(0), get(t, fs, "1.sst")[0], "a whole file put back as it was, under its own name")
	plant(t, inner, "1.log", otherLog)
	require.Equal(t, byte(0), get(t, fs, "1.log")[0], "the same of a log")
	plant(t, inner, "1.log", log[:headSize+12*pageSize])
	require.Len(t, get(t, fs, "1.log"), 12*1400, "the tail of a log cut off, as a power cut might")
	plant(t, inner, "1.log", flipped(log, len(log)-1))
	require.Len(t, get(t, fs, "1.log"), 19*1400, "the last page of a log destroyed: no later one knows that it was durable")
	plant(t, inner, "OPTIONS-1", nil)
	require.Empty(t, get(t, fs, "OPTIONS-1"), "a plain file cut to nothing")
}

// TestOldPageInPlace records that pages written in place have no freshness.
func TestOldPageInPlace(t *testing.T) {
	fs, inner := testFS(t, nil)
	f, err := fs.OpenReadWrite("cache", "test")
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("old"), 0)
	require.NoError(t, err)
	old := below(t, inner, "cache")
	_, err = f.WriteAt([]byte("new"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "new", string(get(t, fs, "cache")))
	plant(t, inner, "cache", old)
	require.Equal(t, "old", string(get(t, fs, "cache")))
	plant(t, inner, "cache", flipped(old, len(old)-1))
	_, err = slurp(fs, "cache")
	require.ErrorIs(t, err, ErrTampered)
}

// TestTailAndDamage: behind the first page that does not authenticate, a later page that knows better makes it damage, and
// one that does not makes it the tail.
func TestTailAndDamage(t *testing.T) {
	for _, synced := range []bool{false, true} {
		fs, inner := testFS(t, nil)
		f, err := fs.Create("1.log", "test")
		require.NoError(t, err)
		for i := range 8 {
			if _, err = f.Write(bytes.Repeat([]byte{byte(i)}, 100)); synced {
				require.NoError(t, f.Sync())
			}
			require.NoError(t, err)
		}
		log := below(t, inner, "1.log")
		require.NoError(t, f.Close())
		plant(t, inner, "1.log", with(log, 4, make([]byte, pageSize)))
		got, err := slurp(fs, "1.log")
		if synced {
			require.ErrorIs(t, err, ErrTampered)
			require.ErrorIs(t, err, ErrDamaged)
			continue
		}
		require.NoError(t, err)
		require.Len(t, got, 400)
	}
}

// TestKeys: without its key a file is refused by the key's name, and with other bytes under its ID as well.
func TestKeys(t *testing.T) {
	fs, inner := testFS(t, nil)
	put(t, fs, "1.sst", []byte("content"))
	id := fs.Key()

	ring, _ := testRing(t, 1)
	other, err := New(inner, ring, nil)
	require.NoError(t, err)
	_, err = other.Open("1.sst")
	require.ErrorIs(t, err, ErrNotActivated)
	require.ErrorContains(t, err, id.String())
	_, err = other.Stat("1.sst")
	require.ErrorIs(t, err, ErrNotActivated)

	wrong, err := dek.Import(id, make([]byte, 32))
	require.NoError(t, err)
	require.NoError(t, ring.Activate(wrong, dek.Database, dek.Active))
	_, err = other.Open("1.sst")
	require.ErrorIs(t, err, ErrWrongKey)

	require.NoError(t, inner.MkdirAll("plain", 0o755))
	plant(t, inner, "plain/1.sst", []byte("not one of ours"))
	_, err = fs.Open("plain/1.sst")
	require.ErrorIs(t, err, ErrNotCoffer)
	_, err = New(inner, dek.NewKeyring(), nil)
	require.ErrorIs(t, err, ErrNotActivated)
}

// TestLeases: a key cannot be deactivated while files are open under it.
func TestLeases(t *testing.T) {
	ring, ids := testRing(t, 2)
	fs, err := New(vfs.NewMem(), ring, &Options{Key: ids[1]})
	require.NoError(t, err)
	put(t, fs, "1.sst", []byte("content"))
	f, err := fs.Open("1.sst")
	require.NoError(t, err)
	require.NoError(t, fs.SetKey(ids[0]))
	require.ErrorIs(t, ring.Deactivate(ids[1], dek.Database), ErrState)
	require.ErrorIs(t, fs.Close(), ErrState)
	require.NoError(t, f.Close())
	require.NoError(t, ring.Deactivate(ids[1], dek.Database))
	require.ErrorIs(t, fs.SetKey(ids[1]), ErrNotActivated)
	require.NoError(t, fs.Close())
	require.NoError(t, fs.Close())
	_, err = fs.Create("x", "test")
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, ring.Close())
}

// TestNothingShows: neither content nor hidden names can be found on the disk.
func TestNothingShows(t *testing.T) {
	fs, inner := testFS(t, &Options{Names: "db/coffer.names"})
	put(t, fs, "db/SECRETNAME.sst", bytes.Repeat([]byte("SECRETCONTENT"), 1000))
	names, err := inner.List("db")
	require.NoError(t, err)
	for _, name := range names {
		require.NotContains(t, name, "SECRET")
		require.NotContains(t, string(below(t, inner, "db/"+name)), "SECRET")
	}
	require.NoError(t, fs.Close())
}

// TestNonces: no nonce comes twice, whatever a file goes through.
func TestNonces(t *testing.T) {
	fs, inner := testFS(t, nil)
	seen := map[string]bool{}
	rng := rand.New(rand.NewPCG(3, 3))
	content := randomBytes(rng, 10*pageData)
	note := func(name string) {
		b := below(t, inner, name)
		for i := range (len(b) - headSize) / pageSize {
			nonce := string(page(b, i)[:12])
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	}
	for range 3 {
		put(t, fs, "1.log", content)
		note("1.log")
		f, err := fs.ReuseForWrite("1.log", "2.log", "test")
		require.NoError(t, err)
		_, err = f.Write(bytes.Clone(content))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		note("2.log")
	}
	require.Len(t, seen, 3*2*11)
}

// TestContradictions: pages that authenticate and make no sense, which only a broken writer makes, are refused.
func TestContradictions(t *testing.T) {
	fs, inner := testFS(t, nil)
	put(t, fs, "1.sst", make([]byte, 3*pageData))
	good := below(t, inner, "1.sst")
	h, err := parseHeader(good)
	require.NoError(t, err)
	key, err := fs.acquire(h.key)
	require.NoError(t, err)
	defer fs.release(key)
	cipher, err := seal.New(seal.SuiteGCM, key.lease.Key(), h.scope())
	require.NoError(t, err)
	defer cipher.Close()
	for name, spoil := range map[string]func(inner []byte){
		"offset":   func(b []byte) { binary.LittleEndian.PutUint64(b, pageData-1) },
		"far off":  func(b []byte) { binary.LittleEndian.PutUint64(b, 1<<40) },
		"synced":   func(b []byte) { binary.LittleEndian.PutUint64(b[8:], 2) },
		"length":   func(b []byte) { binary.LittleEndian.PutUint16(b[16:], pageData+1) },
		"shorter":  func(b []byte) { binary.LittleEndian.PutUint16(b[16:], 5) },
		"flags":    func(b []byte) { b[18] = 4 },
		"reserved": func(b []byte) { b[23] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Clone(good)
			var blocks [1]seal.Block
			require.NoError(t, openPages(cipher, blocks[:], page(bad, 1), 1))
			spoil(page(bad, 1)[pageClear:])
			require.NoError(t, sealPages(cipher, blocks[:], page(bad, 1), 1))
			plant(t, inner, "1.sst", bad)
			_, err := slurp(fs, "1.sst")
			require.ErrorIs(t, err, ErrTampered)
			f, err := fs.Open("1.sst")
			require.NoError(t, err)
			_, err = io.ReadFull(f, make([]byte, 3*pageData))
			require.ErrorIs(t, err, ErrTampered)
			require.NoError(t, f.Close())
		})
	}
}
