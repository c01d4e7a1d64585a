package secmem

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func TestNewIsZeroedAndAligned(t *testing.T) {
	for _, n := range []int{0, 1, 16, 63, 64, 65, 240, 4096, chunkBytes, chunkBytes + 1, 1 << 20} {
		b, err := New(n)
		require.NoError(t, err)
		p := b.Bytes()
		require.Len(t, p, n)
		require.Equal(t, n, cap(p), "append must not reach the neighbour")
		require.NotNil(t, p)
		require.Equal(t, make([]byte, n), p)
		require.Zero(t, uintptr(unsafe.Pointer(unsafe.SliceData(p)))%unit)
		for i := range p {
			p[i] = 0xaa
		}
		b.Release()
	}
	for _, n := range []int{-1, MaxLen + 1} {
		_, err := New(n)
		require.ErrorIs(t, err, ErrSize)
		require.ErrorIs(t, err, fault.Usage)
	}
}

func TestFromWipesItsSource(t *testing.T) {
	secret := []byte("correct horse battery staple")
	b, err := From(secret)
	require.NoError(t, err)
	defer b.Release()
	require.Equal(t, "correct horse battery staple", string(b.Bytes()))
	require.Equal(t, make([]byte, len(secret)), secret)
	long := bytes.Repeat([]byte{1}, MaxLen+1)
	_, err = From(long)
	require.ErrorIs(t, err, ErrSize)
	require.Equal(t, make([]byte, len(long)), long)
}

func TestReleaseWipes(t *testing.T) {
	b, err := From([]byte("secret"))
	require.NoError(t, err)
	p := b.Bytes()
	b.Release()
	require.Equal(t, make([]byte, 6), p)
	require.Nil(t, b.Bytes())
	require.Equal(t, 6, b.Len())
	b.Release()
	(*Buffer)(nil).Release()
	require.Nil(t, (*Buffer)(nil).Bytes())
	require.Zero(t, (*Buffer)(nil).Len())

	// A second Release must not free what somebody else has by now.
	other, err := From([]byte("another secret"))
	require.NoError(t, err)
	b.Release()
	require.Equal(t, "another secret", string(other.Bytes()))
	other.Release()
}

func TestSecretIsNeverShown(t *testing.T) {
	b, err := From([]byte("SECRET"))
	require.NoError(t, err)
	defer b.Release()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q", "%10v"} {
		require.Equal(t, redacted, fmt.Sprintf(verb, b), verb)
	}
	require.Equal(t, redacted, b.String())
	require.Equal(t, redacted, b.GoString())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", b)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", b)
	require.NotContains(t, log.String(), "SECRET")
	require.Contains(t, log.String(), redacted)
	for _, encode := range []func() error{
		func() error { _, err := json.Marshal(b); return err },
		func() error { _, err := json.Marshal(map[string]any{"k": b}); return err },
		func() error { return gob.NewEncoder(&log).Encode(b) },
		func() error { _, err := b.MarshalText(); return err },
		func() error { _, err := b.MarshalBinary(); return err },
	} {
		require.ErrorIs(t, encode(), ErrSecret)
	}
}

// Random buffers come and go; none overlaps another, all are zeroed when new.
func TestArenaUnderManyUsers(t *testing.T) {
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			var mine []*Buffer
			for i := range 300 {
				b, err := New(1 + (i*37+g*11)%700)
				if err != nil || !bytes.Equal(b.Bytes(), make([]byte, b.Len())) {
					t.Error("not zeroed", err)
					return
				}
				for j := range b.Bytes() {
					b.Bytes()[j] = byte(g + 1)
				}
				if mine = append(mine, b); len(mine) > 20 {
					k := (i * 7) % len(mine)
					if !bytes.Equal(mine[k].Bytes(), bytes.Repeat([]byte{byte(g + 1)}, mine[k].Len())) {
						t.Error("another's bytes")
					}
					mine[k].Release()
					mine = append(mine[:k], mine[k+1:]...)
				}
			}
			for _, b := range mine {
				b.Release()
			}
		})
	}
	all.Wait()
	defaultArena.mu.Lock()
	defer defaultArena.mu.Unlock()
	for _, c := range defaultArena.chunks {
		require.True(t, bytes.Equal(make([]byte, len(c.mem)), c.mem), "all that was released is wiped")
	}
}

func TestArenaReusesItsSpace(t *testing.T) {
	maps := 0
	a := &arena{mapper: func(n int) ([]byte, Status) { maps++; return make([]byte, n), Status{Locked: true} }}
	var held []*region
	for range chunkBytes / unit {
		held = append(held, a.alloc(unit))
	}
	require.Equal(t, 1, maps)
	a.alloc(1)
	require.Equal(t, 2, maps, "full")
	for i, r := range held {
		if i%2 == 0 {
			a.free(r)
		}
	}
	a.alloc(2 * unit)
	require.Equal(t, 2, maps)
	first, ok := a.chunks[0].find(1)
	require.True(t, ok)
	require.Zero(t, first, "a hole of one unit at the start")
	_, ok = a.chunks[0].find(2)
	require.False(t, ok, "free units, but no two in a row")
	for i, r := range held {
		if i%2 == 1 {
			a.free(r)
		}
	}
	first, ok = a.chunks[0].find(chunkBytes / unit)
	require.True(t, ok)
	require.Zero(t, first)
	a.alloc(3 * chunkBytes)
	require.Equal(t, 3, maps)
}

func TestStatusTellsARefusal(t *testing.T) {
	refuse := false
	a := &arena{mapper: func(n int) ([]byte, Status) {
		if refuse {
			return make([]byte, n), Status{DontDump: true, WipeOnFork: true, Reason: "mlock: no"}
		}
		return make([]byte, n), Status{Locked: true, DontDump: true, WipeOnFork: true}
	}}
	require.Equal(t, Status{Locked: true, DontDump: true, WipeOnFork: true}, a.status())
	require.Len(t, a.chunks, 1)
	refuse = true
	a.alloc(2 * chunkBytes)
	require.Equal(t, Status{DontDump: true, WipeOnFork: true, Reason: "mlock: no"}, a.status())
}

func TestWipe(t *testing.T) {
	p := []byte("secret")
	Wipe(p[1:3])
	require.Equal(t, "s\x00\x00ret", string(p))
	Wipe(nil)
}

func Example() {
	key, err := From([]byte("taken over, and wiped at its source"))
	if err != nil {
		panic(err)
	}
	defer key.Release()
	fmt.Println(key.Len(), key)
	// Output: 35 secmem.Buffer(redacted)
}

var _ gob.GobEncoder = (*Buffer)(nil) // here, so that no program links gob for it
