package fsx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaultsOfEveryKind(t *testing.T) {
	boom := errors.New("boom")
	for kind := OpRead; kind <= OpSyncDir; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			m, f := durable(t, []byte("content"))
			do := func(i int) error {
				var err error
				name := fmt.Sprint("/n", i)
				switch kind {
				case OpRead:
					_, err = f.ReadAt(make([]byte, 1), 0)
				case OpWrite:
					_, err = f.WriteAt([]byte("x"), 0)
				case OpSync:
					err = f.Sync()
				case OpSyncData:
					err = f.SyncData()
				case OpTruncate:
					err = f.Truncate(5)
				case OpAllocate:
					err = f.Allocate(0, 5)
				case OpCreate:
					_, err = m.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
				case OpRename:
					require.NoError(t, m.WriteFile(name, nil))
					err = m.Rename(name, "/r")
				case OpRemove:
					require.NoError(t, m.WriteFile(name, nil))
					err = m.Remove(name)
				case OpMkdir:
					err = m.Mkdir(name, 0o700)
				case OpSyncDir:
					err = m.SyncDir("/")
				}
				return err
			}
			require.NoError(t, do(0))
			m.Inject(Fault{Kind: kind, Nth: 2, Err: boom, Once: true})
			require.NoError(t, do(1))
			require.ErrorIs(t, do(2), boom)
			require.NoError(t, do(3))
			m.Inject(Fault{Kind: kind, Nth: 2})
			require.NoError(t, do(4))
			require.ErrorIs(t, do(5), syscall.EIO)
			require.ErrorIs(t, do(6), syscall.EIO, "from the n-th on")
			m.ClearFaults()
			require.NoError(t, do(7))
		})
	}
}

func TestFaultsByName(t *testing.T) {
	m := names0(t, "d/a.log=A", "d/b=B")
	a, b := open(t, m, "/d/a.log", os.O_RDWR), open(t, m, "d/b", os.O_RDWR)
	m.Inject(Fault{Kind: OpSync, Name: "*.log"})
	m.Inject(Fault{Kind: OpWrite, Name: "/d/b"})
	m.Inject(Fault{Kind: OpRename, Name: "target"})
	require.Error(t, a.SyncData())
	require.NoError(t, b.SyncData())
	_, err := b.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, "d/a.log=A d/b=B", world(m), "a failed operation did not happen")
	require.Error(t, m.Rename("/d/b", "/target"))
	require.NoError(t, m.Rename("/d/b", "/elsewhere"))
}

func TestTornTransfers(t *testing.T) {
	m, f := durable(t, []byte("oooooooo"))
	m.Inject(Fault{Kind: OpWrite, TornBytes: 3, Once: true})
	n, err := f.WriteAt([]byte("nnnnnnnn"), 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, 3, n)
	require.Equal(t, "nnnooooo", string(content(t, f)))
	m.Inject(Fault{Kind: OpRead, TornBytes: 2, Once: true})
	p := make([]byte, 8)
	n, err = f.ReadAt(p, 0)
	require.ErrorIs(t, err, syscall.EIO)
	require.Equal(t, "nn", string(p[:n]))
}

func TestMisdirectedWrite(t *testing.T) {
	m, f := durable(t, bytesOf('o', 8*sectorSize))
	m.Misdirect(2, 3*sectorSize)
	m.Misdirect(3, -1<<40)
	write(t, f, sectorSize, bytesOf('a', sectorSize))
	write(t, f, 2*sectorSize, bytesOf('b', sectorSize))
	write(t, f, 6*sectorSize, bytesOf('c', sectorSize))
	write(t, f, 7*sectorSize, bytesOf('d', sectorSize))
	require.Equal(t, "caooobod", letters(t, m, "/a"))
}

func TestHookSeesEveryOperation(t *testing.T) {
	m := NewMem(1)
	var seen []string
	m.SetHook(func(op Op) error {
		seen = append(seen, fmt.Sprint(op.Index, op.Kind, op.Name, op.NewName, op.Off, op.Len))
		return nil
	})
	require.NoError(t, m.Mkdir("/d", 0o700))
	f := put(t, m, "/d/a", "hello")
	_, err := f.ReadAt(make([]byte, 2), 1)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(3))
	require.NoError(t, f.Allocate(4, 5))
	require.NoError(t, f.Sync())
	require.NoError(t, f.SyncData())
	require.NoError(t, m.Rename("/d/a", "/d/b"))
	require.NoError(t, m.SyncDir("/d"))
	require.NoError(t, m.Remove("/d/b"))
	require.Equal(t, []string{
		fmt.Sprint(0, OpMkdir, "/d", "", 0, 0), fmt.Sprint(1, OpCreate, "/d/a", "", 0, 0),
		fmt.Sprint(2, OpWrite, "/d/a", "", 0, 5), fmt.Sprint(3, OpRead, "/d/a", "", 1, 2),
		fmt.Sprint(3, OpTruncate, "/d/a", "", 3, 0), fmt.Sprint(4, OpAllocate, "/d/a", "", 4, 5),
		fmt.Sprint(5, OpSync, "/d/a", "", 0, 0), fmt.Sprint(6, OpSyncData, "/d/a", "", 0, 0),
		fmt.Sprint(7, OpRename, "/d/a", "/d/b", 0, 0), fmt.Sprint(8, OpSyncDir, "/d", "", 0, 0),
		fmt.Sprint(9, OpRemove, "/d/b", "", 0, 0)}, seen)
	require.Equal(t, 10, m.Ops())
	require.Equal(t, "invalid", OpKind(0).String())
	require.Equal(t, "invalid", OpKind(99).String())
}

func TestHookRefusesAndTakesImages(t *testing.T) {
	m, f := durable(t, bytesOf('o', sectorSize))
	write(t, f, 0, bytesOf('n', sectorSize))
	boom := errors.New("boom")
	var img, next *Mem
	m.SetHook(func(op Op) error {
		img = m.CrashInHook(rand.New(rand.NewPCG(uint64(op.Index), 0)))
		return boom
	})
	require.ErrorIs(t, f.Sync(), boom)
	require.Contains(t, []string{"o", "n", "x", "0"}, letters(t, img, "/a"))
	m.SetHook(nil)
	require.NoError(t, f.Sync())
	seen := tally(m, func(img *Mem) string { return letters(t, img, "/a") })
	require.NotZero(t, seen["o"], "a hook that fails a sync leaves what a failed sync leaves")

	m.SetHook(func(Op) error {
		next = m.KillInHook()
		return ErrKilled
	})
	_, err := f.WriteAt(bytesOf('m', sectorSize), 0)
	require.ErrorIs(t, err, ErrKilled)
	require.Equal(t, "n", letters(t, next, "/a"))
}

func TestCutAfter(t *testing.T) {
	m, f := durable(t, bytesOf('o', sectorSize))
	m.CutAfter(2)
	write(t, f, 0, bytesOf('n', sectorSize))
	_, err := f.ReadAt(make([]byte, 1), 0)
	require.NoError(t, err, "reads do not count")
	require.NoError(t, f.Sync())
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, ErrPowerCut)
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, ErrPowerCut)
	_, err = f.Size()
	require.ErrorIs(t, err, ErrPowerCut)
	_, err = m.Open("/a", os.O_RDONLY, 0)
	require.ErrorIs(t, err, ErrPowerCut)
	_, err = m.ReadDir("/")
	require.ErrorIs(t, err, ErrPowerCut)
	for _, err := range []error{f.Sync(), f.Truncate(0), f.Allocate(0, 1), f.Lock(Shared), m.SyncDir("/"),
		m.Remove("/a"), m.Rename("/a", "/b"), m.Mkdir("/d", 0)} {
		require.ErrorIs(t, err, ErrPowerCut)
	}
	require.NoError(t, f.Close())
	img := m.Crash(nil)
	require.Equal(t, "n", letters(t, img, "/a"))
	require.NoError(t, open(t, img, "/a", os.O_RDWR).Sync())
	m.CutAfter(-1)
	_, err = m.Stat("/a")
	require.NoError(t, err)
}

func TestFullDisk(t *testing.T) {
	m, f := durable(t, bytesOf('o', 2*pageSize))
	require.EqualValues(t, 2*pageSize, m.Used())
	m.SetCapacity(4 * pageSize)
	free, err := m.FreeSpace("/")
	require.NoError(t, err)
	require.EqualValues(t, 2*pageSize, free)

	require.ErrorIs(t, f.Allocate(0, 5*pageSize), syscall.ENOSPC)
	require.EqualValues(t, 2*pageSize, m.Used())
	require.NoError(t, f.Allocate(0, 3*pageSize))
	n, err := f.WriteAt(bytesOf('n', 4*pageSize), pageSize)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3*pageSize, n, "what fits was written")
	require.ErrorIs(t, f.Truncate(9*pageSize), syscall.ENOSPC)
	write(t, f, 0, bytesOf('m', 4*pageSize))
	require.NoError(t, f.Sync())
	m.SetFailOverwrite(true)
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Truncate(3*pageSize))
	write(t, f, 0, []byte("x"))

	g := put(t, m, "/b", "x")
	_, err = g.WriteAt([]byte("x"), pageSize)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, m.Remove("/b"))
	require.EqualValues(t, 4*pageSize, m.Used(), "it is open")
	require.NoError(t, g.Close())
	require.EqualValues(t, 3*pageSize, m.Used())
	img := m.Crash(nil)
	free, err = img.FreeSpace("/")
	require.NoError(t, err)
	require.LessOrEqual(t, free, int64(pageSize))

	// A sparse file: what was never written has no space.
	m.SetFailOverwrite(false)
	require.NoError(t, f.Truncate(0))
	require.NoError(t, f.Truncate(8*pageSize))
	require.EqualValues(t, 0, m.Used())
	write(t, f, 0, bytesOf('n', 4*pageSize))
	_, err = f.WriteAt([]byte("x"), 5*pageSize)
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, err = f.WriteAt([]byte("x"), 1<<50)
	require.ErrorIs(t, err, syscall.EFBIG)
	require.ErrorIs(t, f.Allocate(1<<50, 1), syscall.EFBIG)
}

func TestTools(t *testing.T) {
	m := names0(t, "d/a=A")
	_, err := m.ReadFile("/none")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = m.ReadFile("/d")
	require.ErrorIs(t, err, syscall.EISDIR)
	require.Error(t, m.WriteFile("/d", nil))
	require.Error(t, m.WriteFile("/none/a", nil))

	require.NoError(t, m.Mkdir("/new", 0o700))
	require.NoError(t, m.WriteFile("/new/a", []byte("durable with its folder")))
	f := open(t, m, "/d/a", os.O_RDWR)
	write(t, f, 0, []byte("B"))
	put(t, m, "/d/b", "unsynced")
	c := m.Clone()
	want := "d/a=B d/b=unsynced new/a=durable with its folder"
	requireExactly(t, tally(c, world), want)
	write(t, f, 0, []byte("C"))
	require.Equal(t, want, world(c), "copies do not share")
	require.NoError(t, open(t, c, "/d/a", os.O_RDWR).Truncate(0))
	require.Equal(t, "C", string(content(t, f)))
	require.NoError(t, m.WriteFile("/d/a", []byte("under it")))
	require.Equal(t, "under it", string(content(t, f)))
	for s := range tally(m, world) {
		require.Contains(t, s, "d/a=under it")
		require.Contains(t, s, "new/a=durable")
	}
}

// Images are taken and used while the original goes on.
func TestCrashWhileInUse(t *testing.T) {
	m, f := durable(t, bytesOf('o', 16*pageSize))
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 4))
			for range 50 {
				if _, err := f.WriteAt(bytesOf(byte(g), pageSize), rng.Int64N(16)*pageSize); err != nil {
					t.Error(err)
				}
				img := m.Crash(rng)
				h, err := img.Open("/a", os.O_RDWR, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := h.WriteAt([]byte("mine"), 5); err != nil {
					t.Error(err)
				}
				if err := f.Sync(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
