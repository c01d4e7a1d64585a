package nbd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

func memDisk() *fsx.Mem { return fsx.NewMem(1) }

// TestModel: several connections at once, each in its own part of the device, at
// any offset and length, against bytes in memory; then everything is read on another one.
func TestModel(t *testing.T) {
	const part, rounds = 300_001, 150
	for _, structured := range []bool{false, true} {
		t.Run(fmt.Sprintf("structured=%v", structured), func(t *testing.T) {
			s := newStore(t, memDisk(), 3*part)
			v := serve(t, Volume(s), Options{})
			model := make([]byte, 3*part)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			var wg sync.WaitGroup
			for i := range 3 {
				c := v.dial(nbdclient.Options{Structured: structured})
				require.Equal(t, structured, c.Allocation)
				wg.Go(func() {
					w := &worker{c: c, rng: rand.New(rand.NewPCG(seed, uint64(i))), model: model[i*part:][:part], base: int64(i * part)}
					for range rounds {
						if err := w.step(); err != nil {
							t.Errorf("%v", err)
							return
						}
					}
				})
			}
			wg.Wait()
			c := v.dial(nbdclient.Options{Structured: !structured})
			got := make([]byte, len(model))
			_, err := c.ReadAt(got, 0)
			require.NoError(t, err)
			require.True(t, bytes.Equal(model, got))
		})
	}
}

type worker struct {
	c     *nbdclient.Client
	rng   *rand.Rand
	model []byte
	base  int64
}

// step does one request and compares.
func (w *worker) step() error {
	off := w.rng.IntN(len(w.model) - 1)
	n := 1 + w.rng.IntN(min(len(w.model)-off, []int{10, 5000, 200_000}[w.rng.IntN(3)]))
	at, part := uint64(w.base)+uint64(off), w.model[off:][:n]
	fua := uint16(w.rng.IntN(8) / 7)
	switch w.rng.IntN(8) {
	case 0, 1, 2:
		for i := range part {
			part[i] = byte(w.rng.Uint32())
		}
		return w.c.WriteAt(part, int64(at), fua)
	case 3:
		clear(part)
		_, err := w.c.Do(nbdclient.WriteZeroes, fua|uint16(w.rng.IntN(2)*nbdclient.NoHole), at, uint32(n), nil)
		return err
	case 4:
		clear(part) // more than the protocol promises: here trimmed bytes are zeros
		_, err := w.c.Do(nbdclient.Trim, fua, at, uint32(n), nil)
		return err
	case 5:
		_, err := w.c.Do(nbdclient.Cache, 0, at, uint32(n), nil)
		return errors.Join(err, w.c.Flush())
	case 6:
		return w.checkHoles(at, part)
	}
	got := make([]byte, n)
	if _, err := w.c.ReadAt(got, int64(at)); err != nil {
		return err
	}
	if !bytes.Equal(part, got) {
		return fmt.Errorf("%d bytes at %d are not what was written", n, at)
	}
	return nil
}

// checkHoles: what is called a hole is zeros.
func (w *worker) checkHoles(at uint64, part []byte) error {
	if !w.c.Allocation {
		return nil
	}
	extents, err := w.c.Do(nbdclient.BlockStatus, 0, at, uint32(len(part)), nil)
	if err != nil {
		return err
	}
	if len(extents) == 0 {
		return errors.New("no extents")
	}
	for _, e := range extents {
		if int(e.Length) > len(part) || e.State != 0 && e.State != stateHoleZero {
			return fmt.Errorf("extent %+v of %d bytes", e, len(part))
		}
		if e.State != 0 && bytes.Trim(part[:e.Length], "\x00") != nil && len(bytes.Trim(part[:e.Length], "\x00")) > 0 {
			return fmt.Errorf("data in the hole at %d", at)
		}
		at, part = at+uint64(e.Length), part[e.Length:]
	}
	return nil
}

func TestHoles(t *testing.T) {
	s := newStore(t, memDisk(), 64<<20)
	v := serve(t, Volume(s), Options{})
	c := v.dial(nbdclient.Options{Structured: true})
	require.NoError(t, c.WriteAt(make([]byte, 8192), 1<<20, 0))
	status := func(flags uint16, off uint64, n uint32) []nbdclient.Extent {
		e, err := c.Do(nbdclient.BlockStatus, flags, off, n, nil)
		require.NoError(t, err)
		return e
	}
	want := []nbdclient.Extent{{Length: 1 << 20, State: 3}, {Length: 8192}, {Length: 63<<20 - 8192, State: 3}}
	require.Equal(t, want, status(0, 0, 64<<20))
	require.Equal(t, want[:1], status(nbdclient.ReqOne, 0, 64<<20))
	require.NoError(t, c.Flush())
	require.NoError(t, s.Checkpoint(context.Background()))
	require.Equal(t, want, status(0, 0, 64<<20))
	require.Equal(t, []nbdclient.Extent{{Length: 8191}, {Length: 9, State: 3}}, status(0, 1<<20+1, 8200))

	plain := v.dial(nbdclient.Options{})
	_, err := plain.Do(nbdclient.BlockStatus, 0, 0, 4096, nil)
	require.Equal(t, nbdclient.Errno(EINVAL), err, "without a context")
}

// TestRefusals: each request that cannot be done is refused with the protocol's error, and the connection goes on.
func TestRefusals(t *testing.T) {
	s := newStore(t, memDisk(), 100_000)
	v := serve(t, Volume(s), Options{})
	for _, structured := range []bool{false, true} {
		c := v.dial(nbdclient.Options{Structured: structured})
		tooLarge := EINVAL
		if structured {
			tooLarge = EOVERFLOW
		}
		buf := make([]byte, 10)
		for _, r := range []struct {
			name       string
			cmd, flags uint16
			off        uint64
			n          uint32
			want       Errno
		}{
			{"write past the end", nbdclient.Write, 0, 99_991, 10, ENOSPC},
			{"write at the far end", nbdclient.Write, 0, 1<<64 - 5, 10, ENOSPC},
			{"zeros past the end", nbdclient.WriteZeroes, 0, 99_991, 10, ENOSPC},
			{"read past the end", nbdclient.Read, 0, 99_991, 10, EINVAL},
			{"trim past the end", nbdclient.Trim, 0, 0, 100_001, EINVAL},
			{"unknown command", 99, 0, 0, 0, EINVAL},
			{"unknown flag", nbdclient.Write, 1 << 9, 0, 10, EINVAL},
			{"flag of another command", nbdclient.Trim, nbdclient.NoHole, 0, 10, EINVAL},
			{"fast zeros that are no hole", nbdclient.WriteZeroes, nbdclient.NoHole | nbdclient.FastZero, 0, 10, ENOTSUP},
			{"fast zeros", nbdclient.WriteZeroes, nbdclient.FastZero, 0, 10, 0},
			{"nothing to read", nbdclient.Read, 0, 5, 0, 0},
			{"nothing to write", nbdclient.Write, nbdclient.FUA, 5, 0, 0},
			{"nothing to trim", nbdclient.Trim, 0, 100_000, 0, 0},
			{"FUA on a read", nbdclient.Read, nbdclient.FUA, 0, 10, 0},
		} {
			_, err := c.Do(r.cmd, r.flags, r.off, r.n, buf[:min(r.n, 10)])
			if r.want == 0 {
				require.NoError(t, err, r.name)
			} else {
				require.Equal(t, nbdclient.Errno(r.want), err, r.name)
			}
		}
		big := serve(t, &memory{b: make([]byte, 40<<20)}, Options{}).dial(nbdclient.Options{Structured: structured})
		_, err := big.Do(nbdclient.Read, 0, 0, maxPayload+1, nil)
		require.Equal(t, nbdclient.Errno(tooLarge), err)
		_, err = big.ReadAt(make([]byte, maxPayload), 0)
		require.NoError(t, err)
		require.NoError(t, big.WriteAt(make([]byte, maxPayload), 8<<20, 0))
		require.ErrorIs(t, big.WriteAt(make([]byte, maxPayload+1), 0, 0), nbdclient.ErrGone, "a write too large ends the connection")
	}
}

func TestReadOnly(t *testing.T) {
	disk := memDisk()
	keys, _ := ring(t, 1)
	s, err := blockstore.Create("v", keys, blockstore.CreateOptions{Options: smallOptions(disk), Size: 50_000, BlockSize: 4096})
	require.NoError(t, err)
	_, err = s.File().WriteAt([]byte("kept"), 4094)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	o := smallOptions(disk)
	o.ReadOnly = true
	s, err = blockstore.Open("v", keys, &o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	v := serve(t, Volume(s), Options{})
	c := v.dial(nbdclient.Options{Structured: true})
	require.NotZero(t, c.Flags&sendReadOnly)
	require.Zero(t, c.Flags&(sendTrim|sendWriteZeroes))
	for _, cmd := range []uint16{nbdclient.Write, nbdclient.Trim, nbdclient.WriteZeroes} {
		_, err := c.Do(cmd, 0, 0, 4, []byte("lost"))
		require.Equal(t, nbdclient.Errno(EPERM), err)
	}
	require.NoError(t, c.Flush())
	got := make([]byte, 4)
	_, err = c.ReadAt(got, 4094)
	require.NoError(t, err)
	require.Equal(t, "kept", string(got))
	require.NoError(t, c.Disconnect())
	v.end()
}

// TestBounds: no more requests are worked on than allowed, no more connections held.
func TestBounds(t *testing.T) {
	m := &memory{b: make([]byte, 1<<20), entered: make(chan struct{}), gate: make(chan struct{})}
	v := serve(t, m, Options{MaxRequests: 3, MaxConnections: 1})
	c := v.dial(nbdclient.Options{})
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() { _, _ = c.ReadAt(make([]byte, 4096), int64(i)*4096) })
	}
	for range 3 {
		<-m.entered
	}
	nc, err := net.Dial("unix", v.address) // one too many: closed without a word
	require.NoError(t, err)
	defer nc.Close()
	gone(t, nc)
	for range 7 {
		m.gate <- struct{}{}
		<-m.entered // only now another one comes in
	}
	for range 3 {
		m.gate <- struct{}{}
	}
	wg.Wait()
	require.Equal(t, 3, m.most)
}

// TestMemoryIsBounded: data of requests under way is at most 32 MiB.
func TestMemoryIsBounded(t *testing.T) {
	m := &memory{b: make([]byte, 32<<20), entered: make(chan struct{}, 99), gate: make(chan struct{})}
	v := serve(t, m, Options{})
	c := v.dial(nbdclient.Options{})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _, _ = c.ReadAt(make([]byte, 12<<20), 0) })
	}
	<-m.entered
	<-m.entered
	for range 5 {
		m.gate <- struct{}{}
	}
	wg.Wait()
	require.LessOrEqual(t, m.most, 2)
}

// TestShutdown: what is under way is answered, what comes later refused, a flush done, and nobody comes in.
func TestShutdown(t *testing.T) {
	m := &memory{b: make([]byte, 1<<20), entered: make(chan struct{}), gate: make(chan struct{})}
	v := serve(t, m, Options{Grace: time.Minute})
	c := v.dial(nbdclient.Options{})
	idle := v.raw() // still in its handshake
	read := make(chan error)
	go func() { _, err := c.ReadAt(make([]byte, 4096), 0); read <- err }()
	<-m.entered
	down := make(chan error)
	go func() { down <- v.Shutdown(context.Background()) }()
	gone(t, idle.Conn) // from here on it shuts down
	require.Equal(t, nbdclient.Errno(ESHUTDOWN), c.WriteAt([]byte("late"), 0, 0))
	flushed := make(chan error)
	go func() { flushed <- c.Flush() }()
	<-m.entered
	m.gate <- struct{}{}
	m.gate <- struct{}{}
	require.NoError(t, <-read)
	require.NoError(t, <-flushed)
	require.Equal(t, 1, m.flushes)
	_, err := net.Dial("unix", v.address)
	require.Error(t, err)
	require.NoError(t, c.Disconnect())
	require.NoError(t, <-down)
}

// TestShutdownAtOnce: a client that does not leave is cut off, and a request that is under way ends first.
func TestShutdownAtOnce(t *testing.T) {
	m := &memory{b: make([]byte, 1<<20), entered: make(chan struct{}), gate: make(chan struct{})}
	v := serve(t, m, Options{Grace: time.Hour})
	c := v.dial(nbdclient.Options{})
	written := make(chan error)
	go func() { written <- c.WriteAt([]byte("done"), 0, 0) }()
	<-m.entered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	down := make(chan error)
	go func() { down <- v.Shutdown(ctx) }()
	require.ErrorIs(t, <-written, nbdclient.ErrGone)
	select {
	case <-down:
		t.Fatal("the device is in use")
	default:
	}
	m.gate <- struct{}{}
	require.ErrorIs(t, <-down, context.Canceled)
	require.Equal(t, "done", string(m.b[:4]))
}

func TestErrnos(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Errno
	}{
		{nil, 0}, {errors.New("anything"), EIO}, {fault.Tampered, EIO}, {fault.Both(fault.Damaged, syscall.ENOSPC), EIO},
		{fault.OutcomeUnknown, EIO}, {syscall.ENOSPC, ENOSPC}, {syscall.EDQUOT, ENOSPC}, {syscall.EFBIG, ENOSPC}, {ErrPastEnd, ENOSPC},
		{blockstore.ErrReadOnly, EPERM}, {fs.ErrPermission, EPERM}, {blockstore.ErrClosed, ESHUTDOWN}, {fs.ErrClosed, ESHUTDOWN},
		{syscall.ENOMEM, ENOMEM}, {fault.Usage, EINVAL}, {ENOTSUP, ENOTSUP}, {&blockstore.BlockError{Op: "read", Err: fault.Damaged}, EIO},
	} {
		require.Equal(t, c.want, errnoOf(c.err), "%v", c.err)
		if c.err != nil {
			require.Equal(t, c.want, errnoOf(fault.Hint(fmt.Errorf("outer: %w", c.err), "hint")))
		}
	}
	require.NotEmpty(t, Errno(1234).Error())
}
