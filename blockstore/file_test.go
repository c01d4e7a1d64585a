package blockstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// modelFile is the model: a file as everybody knows it.
type modelFile struct{ b []byte }

func (p *modelFile) writeAt(data []byte, off int) {
	if end := off + len(data); end > len(p.b) {
		p.truncate(end)
	}
	copy(p.b[off:], data)
}

func (p *modelFile) truncate(n int) {
	if n <= len(p.b) {
		p.b = p.b[:n:n]
		return
	}
	p.b = append(p.b, make([]byte, n-len(p.b))...)
}

func (p *modelFile) zero(off, n int) {
	if off < len(p.b) {
		clear(p.b[off:min(off+n, len(p.b))])
	}
}

// fileOp is one operation on a file; off and n are as of the call, not of the file.
type fileOp struct {
	kind   byte
	off, n int
	fill   byte
}

const fileOpKinds = 8

// apply does an operation on both, the model first, and compares what they answer.
func (o fileOp) apply(f *File, p *modelFile) error {
	switch o.kind % fileOpKinds {
	case 0, 1:
		data := bytes.Repeat([]byte{o.fill}, o.n)
		if o.n > 0 {
			p.writeAt(data, o.off)
		}
		n, err := f.WriteAt(data, int64(o.off))
		if err != nil || n != o.n {
			return fmt.Errorf("write of %d at %d: %d, %w", o.n, o.off, n, err)
		}
	case 2:
		p.truncate(o.off)
		return f.Truncate(int64(o.off))
	case 3:
		p.zero(o.off, o.n)
		return f.Zero(int64(o.off), int64(o.n))
	case 4:
		return f.Sync()
	case 5:
		return o.extents(f, p)
	default:
		return o.read(f, p)
	}
	return nil
}

// read compares bytes, count and error with what a file answers.
func (o fileOp) read(f *File, p *modelFile) error {
	got, want := make([]byte, o.n), make([]byte, o.n)
	n, err := f.ReadAt(got, int64(o.off))
	wantN, wantErr := bytes.NewReader(p.b).ReadAt(want, int64(o.off))
	if o.n == 0 {
		wantN, wantErr = 0, nil // as an os.File answers
	}
	if n != wantN || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) || !bytes.Equal(got[:n], want[:n]) {
		return fmt.Errorf("read of %d at %d of %d: %d, %v; want %d, %v; same bytes %v", o.n, o.off, len(p.b), n, err, wantN, wantErr, bytes.Equal(got[:n], want[:n]))
	}
	return nil
}

// extents: they cover the range without a gap, and what is a hole is zeros.
func (o fileOp) extents(f *File, p *modelFile) error {
	for off := 0; off < len(p.b); {
		n, hole, err := f.Extent(int64(off), math.MaxInt64)
		if err != nil || n <= 0 || off+int(n) > len(p.b) {
			return fmt.Errorf("extent at %d of %d: %d, %w", off, len(p.b), n, err)
		}
		if hole && len(bytes.Trim(p.b[off:off+int(n)], "\x00")) > 0 {
			return fmt.Errorf("data in the hole from %d to %d", off, off+int(n))
		}
		off += int(n)
	}
	return nil
}

func randomOp(rng *rand.Rand, size, most int) fileOp {
	o := fileOp{kind: byte(rng.IntN(fileOpKinds)), off: rng.IntN(size + 5000), fill: byte(1 + rng.IntN(255))}
	switch rng.IntN(4) {
	case 0:
		o.n = rng.IntN(10)
	case 1:
		o.n = 4096 * rng.IntN(5)
		o.off -= o.off % 4096
	case 2:
		o.n = rng.IntN(most)
	default:
		o.n = rng.IntN(9000)
	}
	return o
}

// TestFileModel: any offset and length, holes, growth, cuts inside blocks, reads at
// the end, against a plain file; with checkpoints and openings in between.
func TestFileModel(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 600
	}
	for _, suite := range []Suite{AESGCM, None} {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			keys, _ := ring(t, 1)
			disk := fsx.NewMem(seed)
			s := create(t, disk, keys, suite, 10_000)
			p := &modelFile{make([]byte, 10_000)}
			for i := range rounds {
				o := randomOp(rng, 150_000, 100_000)
				require.NoError(t, o.apply(s.File(), p), "round %d: %+v", i, o)
				require.Equal(t, int64(len(p.b)), s.File().Size())
				switch rng.IntN(100) {
				case 0:
					require.NoError(t, s.Checkpoint(context.Background()))
				case 1:
					require.NoError(t, s.Close())
					s = reopen(t, disk, keys)
				}
			}
			require.NoError(t, fileOp{kind: 7, n: len(p.b) + 1}.apply(s.File(), p))
			require.NoError(t, s.Sync(context.Background()))
			require.NoError(t, iotest.TestReader(io.NewSectionReader(s.File(), 0, s.Size()), p.b))
			verified(t, s)
		})
	}
}

// TestFileLarge: a write larger than what a transaction keeps in memory, over a run of small ones.
func TestFileLarge(t *testing.T) {
	keys, _ := ring(t, 1)
	disk := fsx.NewMem(1)
	o := testOptions(disk)
	o.Tune.TxMemory = 64 << 10
	s, err := Create("v", keys, CreateOptions{Options: o, BlockSize: 4096})
	require.NoError(t, err)
	p := &modelFile{}
	for _, op := range []fileOp{{off: 100, n: 3_000_001, fill: 1}, {off: 1_000_003, n: 900_000, fill: 2}, {kind: 3, off: 5000, n: 2_000_000},
		{off: 1_999_999, n: 500_000, fill: 3}, {kind: 7, n: 3_000_101}, {kind: 7, off: 3_000_100, n: 2}} {
		require.NoError(t, op.apply(s.File(), p), "%+v", op)
	}
	verified(t, s)
}

// TestFileMisuse: what cannot be is refused and changes nothing.
func TestFileMisuse(t *testing.T) {
	keys, _ := ring(t, 1)
	s := create(t, fsx.NewMem(1), keys, AESGCM, 5000)
	f := s.File()
	one := []byte{1}
	for name, err := range map[string]error{
		"read":         second(f.ReadAt(one, -1)),
		"write":        second(f.WriteAt(one, -1)),
		"write far":    second(f.WriteAt(one, math.MaxInt64)),
		"truncate":     f.Truncate(-1),
		"truncate far": f.Truncate(math.MaxInt64),
		"zero":         f.Zero(-1, 1),
		"zero none":    f.Zero(0, -1),
	} {
		require.ErrorIs(t, err, fault.Usage, name)
	}
	_, _, err := f.Extent(5000, 1)
	require.ErrorIs(t, err, fault.Usage)
	_, _, err = f.Extent(0, 0)
	require.ErrorIs(t, err, fault.Usage)
	require.NoError(t, second(f.WriteAt(bytes.Repeat(one, 5000), 0)))
	require.NoError(t, f.Zero(4000, math.MaxInt64))
	n, hole, err := f.Extent(4096, math.MaxInt64)
	require.NoError(t, err)
	require.True(t, hole, "the last block, which the end cuts, too")
	require.Equal(t, int64(904), n)
	require.NoError(t, f.Zero(math.MaxInt64, math.MaxInt64))
	require.Equal(t, int64(5000), f.Size())
	got, err := f.ReadAt(nil, 9000)
	require.NoError(t, err)
	require.Zero(t, got)
	require.NoError(t, s.View(func(tx *Tx) error {
		require.ErrorIs(t, second(tx.WriteAt(one, 0)), ErrReadOnly)
		require.ErrorIs(t, tx.Zero(0, 1), ErrReadOnly)
		return nil
	}))
	require.NoError(t, s.Update(func(tx *Tx) error {
		require.ErrorIs(t, second(f.WriteAt(one, 0)), ErrNested)
		return nil
	}))
	verified(t, s)
	require.ErrorIs(t, second(f.ReadAt(one, 0)), ErrClosed)
	_, _, err = f.Extent(0, 1)
	require.ErrorIs(t, err, ErrClosed)
}

func second[T any](_ T, err error) error { return err }

// TestFileBadBlock: n says how much of a read is right where a block cannot be read.
func TestFileBadBlock(t *testing.T) {
	keys, _ := ring(t, 1)
	disk := fsx.NewMem(1)
	s := create(t, disk, keys, AESGCM, 100*4096)
	want := bytes.Repeat(page(1), 100)
	require.NoError(t, second(s.File().WriteAt(want, 0)))
	require.NoError(t, s.Close())
	s = reopen(t, disk, keys)
	require.NoError(t, s.Update(func(tx *Tx) error { return tx.markLost(70) }))
	got := make([]byte, len(want)-10)
	n, err := s.File().ReadAt(got, 10)
	require.ErrorIs(t, err, ErrLost)
	require.LessOrEqual(t, n, 70*4096-10)
	require.Positive(t, n)
	require.Equal(t, want[10:][:n], got[:n])
	require.NoError(t, s.View(func(tx *Tx) error {
		n, err := tx.ReadAt(got, 10)
		require.ErrorIs(t, err, ErrLost)
		require.Equal(t, want[10:][:n], got[:n])
		return nil
	}))
	require.NoError(t, s.Close())
}

// TestFileConcurrent: writers of overlapping ranges that fall into the same
// blocks: what each wrote last, alone in its bytes, is there, and a reader never sees half a write.
func TestFileConcurrent(t *testing.T) {
	const writers, each, stride = 4, 60, 1500 // of 1,500 bytes: every block has several writers
	keys, _ := ring(t, 1)
	s := create(t, fsx.NewMem(1), keys, AESGCM, 0)
	f := s.File()
	require.NoError(t, f.Truncate(writers*8*stride))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				at := (i%8*writers + w) * stride
				if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, stride), int64(at)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		got := make([]byte, stride)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := f.ReadAt(got, int64(i%(writers*8))*stride); err != nil || len(bytes.Trim(got, string(got[:1]))) > 0 {
				t.Errorf("half a write: %v", err)
				return
			}
		}
	})
	wg.Wait()
	close(stop)
	reader.Wait()
	got := make([]byte, stride)
	for slot := range 8 {
		last := (each-1-slot)/8*8 + slot + 1
		for w := range writers {
			require.NoError(t, second(f.ReadAt(got, int64((slot*writers+w)*stride))))
			require.Equal(t, bytes.Repeat([]byte{byte(last)}, stride), got)
		}
	}
	verified(t, s)
}

// TestFileCuts cuts the power at every k-th operation of the disk. Afterwards the
// file is as it was after some write, not before the last Sync that returned.
func TestFileCuts(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 7
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	k := 0
	for !cutFileAt(t, k, seed+uint64(k)) {
		k += step
	}
	require.Greater(t, k, 60, "operations")
}

func cutFileAt(t *testing.T, k int, seed uint64) (whole bool) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	keys, _ := ring(t, 1)
	disk := fsx.NewMem(seed)
	o := testOptions(disk)
	o.CheckpointBytes = 96 << 10
	s, err := Create("v", keys, CreateOptions{Options: o, Size: 9000, BlockSize: 4096})
	require.NoError(t, err)
	p := &modelFile{make([]byte, 9000)}
	states := [][]byte{bytes.Clone(p.b)} // since the last sync
	disk.CutAfter(k)
	for range 250 {
		op := randomOp(rng, 40_000, 20_000)
		err = op.apply(s.File(), p)
		states = append(states, bytes.Clone(p.b)) // what failed may be there too, whole
		if err != nil {
			break
		}
		if op.kind%fileOpKinds == 4 {
			states = states[len(states)-1:]
		}
	}
	_ = s.Close() // the power may be gone
	checkFileCut(t, disk.Crash(rng), keys, states, fmt.Sprintf("cut at %d, seed %d", k, seed))
	return err == nil
}

func checkFileCut(t *testing.T, disk *fsx.Mem, keys *dek.Keyring, states [][]byte, what string) {
	t.Helper()
	s := reopen(t, disk, keys)
	got := make([]byte, s.Size())
	if _, err := s.File().ReadAt(got, 0); !errors.Is(err, io.EOF) || len(got) > 0 {
		require.NoError(t, err, what)
	}
	found := false
	for _, want := range states {
		found = found || bytes.Equal(want, got)
	}
	require.True(t, found, "%s: %d bytes that are none of %d states", what, len(got), len(states))
	verified(t, s)
}

// FuzzFile: a program of operations, six bytes each, against the model.
func FuzzFile(f *testing.F) {
	f.Add([]byte{0, 0, 10, 0, 200, 7, 7, 0, 0, 1, 0, 0})
	f.Add([]byte{0, 1, 0, 16, 0, 1, 2, 0, 100, 0, 0, 0, 2, 1, 0, 0, 0, 0, 7, 0, 0, 255, 255, 0})
	f.Add([]byte{0, 0, 0, 48, 1, 9, 3, 0, 1, 32, 0, 0, 5, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 7, 0, 0, 60, 0, 0})
	keys, _ := ring(f, 1)
	f.Fuzz(func(t *testing.T, program []byte) {
		s := create(t, fsx.NewMem(1), keys, AESGCM, 5000)
		p := &modelFile{make([]byte, 5000)}
		for range 40 {
			if len(program) < 6 {
				break
			}
			b := program[:6]
			program = program[6:]
			o := fileOp{kind: b[0], off: int(b[1])<<8 | int(b[2]), n: int(b[3])<<8 | int(b[4]), fill: b[5]}
			require.NoError(t, o.apply(s.File(), p), "%+v", o)
			require.Equal(t, int64(len(p.b)), s.File().Size())
		}
		require.NoError(t, fileOp{kind: 7, n: len(p.b)}.apply(s.File(), p))
		verified(t, s)
	})
}
