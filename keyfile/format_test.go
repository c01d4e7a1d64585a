package keyfile

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/stretchr/testify/require"
)

// PBKDF2-HMAC-SHA512: there are no vectors in an RFC; testdata says where these are from.
func TestVectorsPBKDF2(t *testing.T) {
	data, err := os.ReadFile("testdata/pbkdf2-sha512.txt")
	require.NoError(t, err)
	count := 0
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		var iterations uint32
		v := strings.Split(line, " ")
		require.Len(t, v, 4)
		for _, d := range v[2] {
			iterations = iterations*10 + uint32(d-'0')
		}
		want, err := hex.DecodeString(v[3])
		require.NoError(t, err)
		got, err := principalKey([]byte(v[0]), []byte(v[1]), iterations)
		require.NoError(t, err)
		require.Equal(t, want[:kekSize], got.Bytes(), v)
		got.Release()
		count++
	}
	require.Equal(t, 4, count)
}

// The worked example of FORMAT.md.
const exampleMark = "<!-- worked example: key file -->"

var exampleAdmin = Credentials{"alice", []byte("Correct-Horse-7-Battery")}

func sequence(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(from + i)
	}
	return b
}

// exampleFile builds the example from the inputs that FORMAT.md states.
func exampleFile(t *testing.T) []byte {
	t.Helper()
	kek, err := secmem.From(sequence(0, 32))
	require.NoError(t, err)
	defer kek.Release()
	id, err := dek.ParseID("9158980E-AE52-4E12-82FD-AA5A2909D029")
	require.NoError(t, err)
	a := adminRecord{name: "ALICE", iterations: MinIterations, salt: [saltSize]byte(sequence(0x40, saltSize))}
	principal, err := principalKey(exampleAdmin.Password, a.salt[:], a.iterations)
	require.NoError(t, err)
	defer principal.Release()
	wrapped, err := dek.Wrap(principal.Bytes(), kek.Bytes())
	require.NoError(t, err)
	copy(a.wrapped[:], wrapped)
	k := keyRecord{id: id, created: 1_767_225_600, bits: 128, flags: flagDefault | flagJournal, description: "first"}
	k.wrapped, err = dek.Wrap(kek.Bytes(), sequence(0xf0, 16))
	require.NoError(t, err)
	c := &content{generation: 1, guid: [16]byte(sequence(0x80, 16)), description: "demo", admins: []adminRecord{a}, keys: []keyRecord{k}}
	data, err := c.seal(kek)
	require.NoError(t, err)
	return data
}

// readExample finds the hex dump after the mark in FORMAT.md.
func readExample(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../FORMAT.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), exampleMark)
	require.True(t, found, "no worked example")
	_, rest, _ = strings.Cut(rest, "```\n")
	dump, _, _ := strings.Cut(rest, "```")
	var data []byte
	for line := range strings.Lines(dump) {
		line, _, _ = strings.Cut(line, "|")
		_, digits, _ := strings.Cut(line, "  ")
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		require.NoError(t, err)
		data = append(data, b...)
	}
	return data
}

func TestWorkedExample(t *testing.T) {
	want := exampleFile(t)
	if !bytes.Equal(want, readExample(t)) {
		t.Fatalf("the example in FORMAT.md is not\n%s", hex.Dump(want))
	}
	f, err := unlock(want, exampleAdmin, Options{derive: principalKey})
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, "demo", f.Info().Description)
	k, err := f.Key(f.Default())
	require.NoError(t, err)
	defer k.Destroy()
	require.Equal(t, sequence(0xf0, 16), k.ExposeSecret())
}

// Fields out of bounds are refused even under a right MAC and checksum.
func TestOutOfBounds(t *testing.T) {
	_, f, good := victim(t)
	for name, edit := range map[string]func(c *content){
		"generation 0":         func(c *content) { c.generation = 0 },
		"last generation":      func(c *content) { c.generation = math.MaxUint64 },
		"no GUID":              func(c *content) { c.guid = [16]byte{} },
		"no administrator":     func(c *content) { c.admins = nil },
		"no key":               func(c *content) { c.keys = nil },
		"lower-case name":      func(c *content) { c.admins[1].name = "bob" },
		"name with a space":    func(c *content) { c.admins[1].name = "BOB " },
		"no name":              func(c *content) { c.admins[1].name = "" },
		"65 characters":        func(c *content) { c.admins[1].name = strings.Repeat("B", 65) },
		"same name":            func(c *content) { c.admins[1].name = "ALICE" },
		"iterations 0":         func(c *content) { c.admins[1].iterations = 0 },
		"iterations too high":  func(c *content) { c.admins[1].iterations = MaxIterations + 1 },
		"iterations 2^32-1":    func(c *content) { c.admins[0].iterations = math.MaxUint32 },
		"zero ID":              func(c *content) { c.keys[1].id = dek.ID{} },
		"same ID":              func(c *content) { c.keys[1].id = c.keys[0].id },
		"160 bits":             func(c *content) { c.keys[1].bits = 160 },
		"unknown flag":         func(c *content) { c.keys[1].flags |= 4 },
		"two default keys":     func(c *content) { c.keys[1].flags |= flagDefault },
		"no journal key":       func(c *content) { c.keys[0].flags = flagDefault },
		"year 10000":           func(c *content) { c.keys[1].created = maxCreated + 1 },
		"long description":     func(c *content) { c.description = strings.Repeat("x", MaxDescription+1) },
		"long key description": func(c *content) { c.keys[1].description = strings.Repeat("x", MaxDescription+1) },
		"control character":    func(c *content) { c.keys[1].description = "\x1b]0;evil\a" },
		"not UTF-8":            func(c *content) { c.description = "\xc3\x28" },
		"257 keys": func(c *content) {
			for i := range 257 - len(c.keys) {
				k := c.keys[1]
				k.id[0], k.id[1] = byte(i), ^byte(i)
				c.keys = append(c.keys, k)
			}
		},
		"60,000 admins counted": func(c *content) { c.admins = append(c.admins, make([]adminRecord, 1000)...) },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := decode(good)
			require.NoError(t, err)
			edit(c)
			f.mu.Lock()
			data, err := c.seal(f.kek)
			f.mu.Unlock()
			require.NoError(t, err)
			require.ErrorIs(t, openBytes(data, alice), ErrDamaged)
		})
	}
}

// A hostile file neither hangs its reader nor makes it allocate much.
func TestHostileFileIsCheap(t *testing.T) {
	_, _, good := victim(t)
	hostile := map[string][]byte{
		"4 billion iterations": forge(good, func(c *content) { c.admins[0].iterations = math.MaxUint32 }),
		"a gigabyte":           make([]byte, MaxFileSize+1),
	}
	for name, off := range map[string]int{"administrators": 40, "keys": 42, "description": 44, "length": 14, "name": 64 + 4 + 4} {
		bad := bytes.Clone(good)
		bad[off], bad[off+1] = 0xff, 0xff
		hostile[name] = refit(bad)
	}
	copy(hostile["a gigabyte"], good[:headerSize])
	for name, data := range hostile {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		_, err := unlock(data, alice, Options{derive: principalKey})
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, ErrDamaged, name)
		require.Less(t, took, time.Second, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), name)
	}
}

func FuzzParse(f *testing.F) {
	_, _, good := victim(f)
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add([]byte(magic))
	f.Add(forge(good, func(c *content) { c.admins[0].iterations = 0 }))
	f.Add(forge(good, func(c *content) { c.keys = c.keys[:1]; c.description = "" }))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = inspect(data) // whatever it is, no panic
		c, err := decode(data)
		if err != nil && len(data) >= minFileSize && len(data) <= MaxFileSize { // past the frame
			data = bytes.Clone(data)
			copy(data, good[:10])
			le.PutUint32(data[12:], uint32(len(data)))
			data = refit(data)
			c, err = decode(data)
		}
		if err != nil {
			return
		}
		again := append(c.marshal(), data[len(data)-trailerSize:]...)
		if !bytes.Equal(again, data) {
			t.Fatal("what is read is not what is written")
		}
	})
}
