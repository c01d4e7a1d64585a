package pebblefs

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// FuzzHeader: a header that is read is written back to the same bytes, up to its MAC.
func FuzzHeader(f *testing.F) {
	k, err := dek.Generate(256)
	require.NoError(f, err)
	for _, kind := range []Kind{Log, Table, Random, Plain} {
		h, err := newHeader(kind, k, "name")
		require.NoError(f, err)
		page := make([]byte, headSize)
		require.NoError(f, h.put(page, k))
		f.Add(page[:pageSize])
	}
	f.Add([]byte(headMagic))
	f.Fuzz(func(t *testing.T, page []byte) {
		h, err := parseHeader(page)
		if err != nil {
			return
		}
		again := make([]byte, headSize)
		require.NoError(t, h.put(again, k))
		require.Equal(t, page[:headMACAt], again[:headMACAt])
		_, _ = h.alias(page)
		_ = h.freeAlias(page)
		if h.authenticate(page, k) == nil {
			require.Equal(t, page[:pageSize], again[:pageSize])
		}
	})
}

// FuzzNamesFile: whatever lies in the file of names, opening it fails with an error of a known class, or it is the one that was
// written.
func FuzzNamesFile(f *testing.F) {
	ring, _ := testRing(f, 1)
	inner := vfs.NewMem()
	fs, err := New(inner, ring, &Options{Names: "db/names"})
	require.NoError(f, err)
	good := below(f, inner, "db/names")
	want := bytes.Clone(fs.names.key.Bytes())
	f.Add(good)
	f.Add(good[:50])
	f.Fuzz(func(t *testing.T, b []byte) {
		plant(t, inner, "db/names", b)
		again, err := New(inner, ring, &Options{Names: "db/names"})
		if err != nil {
			require.True(t, known(err), "%v", err)
			return
		}
		require.Equal(t, want, again.names.key.Bytes())
		require.NoError(t, again.Close())
	})
}

// FuzzReveal: a name that is revealed is hidden to the same letters.
func FuzzReveal(f *testing.F) {
	key, err := secmem.New(namesKeySize)
	require.NoError(f, err)
	n := &hider{key: key}
	f.Add(n.hide("000001.sst"))
	f.Add(n.hide(""))
	f.Add("000001.sst")
	f.Fuzz(func(t *testing.T, hidden string) {
		if name, ok := n.reveal(hidden); ok {
			require.Equal(t, hidden, n.hide(name))
		}
		if len(hidden) <= maxHidden {
			name, ok := n.reveal(n.hide(hidden))
			require.True(t, ok)
			require.Equal(t, hidden, name)
		}
	})
}

// FuzzFile alters the bytes of a file below: what is read then is what was written, or for a log the beginning of it, or an error of a known
// class.
func FuzzFile(f *testing.F) {
	ring, _ := testRing(f, 1)
	inner := vfs.NewMem()
	fs, err := New(inner, ring, &Options{Cache: -1})
	require.NoError(f, err)
	content := bytes.Repeat([]byte("content "), 1500)
	names := []string{"1.log", "2.sst", "plain"}
	var files [][]byte
	for _, name := range names {
		put(f, fs, name, content)
		files = append(files, below(f, inner, name))
	}
	f.Add(uint8(0), uint32(headSize+100), []byte{1}, uint32(1<<31))
	f.Add(uint8(1), uint32(0), []byte{}, uint32(headSize+pageSize))
	f.Add(uint8(2), uint32(headSize+2*pageSize), bytes.Repeat([]byte{255}, pageSize), uint32(1<<31))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, change []byte, length uint32) {
		i := int(which) % len(files)
		b := bytes.Clone(files[i])
		for j, c := range change {
			b[(int(at)+j)%len(b)] ^= c
		}
		b = b[:min(int(length), len(b))]
		plant(t, inner, names[i], b)
		got, err := slurp(fs, names[i])
		if err != nil {
			require.True(t, known(err), "%v", err)
			return
		}
		require.True(t, bytes.HasPrefix(content, got))
		require.True(t, len(got) == len(content) || i != 1, "a table in part")
	})
}

func known(err error) bool {
	for _, class := range []error{ErrTampered, ErrDamaged, ErrNotCoffer, ErrVersion, ErrNotActivated, ErrWrongKey} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}
