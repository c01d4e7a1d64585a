package nbd

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

const crashBlocks = 40 // of 4,096 bytes

// crashModel is what may be in each block after a cut: what was written since the
// last flush that was answered, and what was there then.
type crashModel struct {
	may [crashBlocks][][]byte // the last is the newest
}

func (m *crashModel) write(b int, page []byte) { m.may[b] = append(m.may[b], bytes.Clone(page)) }

// durable: what was answered before is there.
func (m *crashModel) durable() {
	for b := range m.may {
		m.may[b] = m.may[b][len(m.may[b])-1:]
	}
}

// TestPowerCuts cuts the power at every k-th operation of the disk under a server
// with two connections. Whatever a FLUSH covered, on either, and whatever went out with
// FUA is there afterwards; the rest is whole, block by block.
func TestPowerCuts(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 9
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for k := 0; ; k += step {
		if cutAt(t, k, seed+uint64(k)) {
			t.Logf("%d operations", k)
			require.Greater(t, k, 50)
			return
		}
	}
}

func cutAt(t *testing.T, k int, seed uint64) (whole bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := fsx.NewMem(seed)
	keys, _ := ring(t, 1)
	o := smallOptions(disk)
	o.CheckpointBytes = 128 << 10
	s, err := blockstore.Create("v", keys, blockstore.CreateOptions{Options: o, Size: crashBlocks * 4096, BlockSize: 4096})
	require.NoError(t, err)
	m := &crashModel{}
	for b := range m.may {
		m.write(b, make([]byte, 4096))
	}
	disk.CutAfter(k)
	v := serve(t, Volume(s), Options{})
	a, b := v.dial(nbdclient.Options{}), v.dial(nbdclient.Options{Structured: true})
	whole = m.run(rng, []*nbdclient.Client{a, b}) == nil
	_ = a.Disconnect()
	_ = b.Disconnect()
	v.end()
	_ = s.Close() // the power is gone
	after := disk.Crash(rng)
	m.check(t, after, keys, k, seed)
	return whole
}

// run writes through both connections until the disk fails.
func (m *crashModel) run(rng *rand.Rand, conns []*nbdclient.Client) error {
	page := make([]byte, 4096)
	for range 60 {
		c := conns[rng.IntN(2)]
		for i := range page {
			page[i] = byte(rng.Uint32())
		}
		b := rng.IntN(crashBlocks)
		fua := uint16(rng.IntN(6) / 5)
		var err error
		switch rng.IntN(6) {
		case 0:
			if err = c.Flush(); err == nil {
				m.durable()
			}
		case 1:
			m.write(b, make([]byte, 4096))
			_, err = c.Do(nbdclient.WriteZeroes, fua, uint64(b)*4096, 4096, nil)
		default:
			m.write(b, page)
			err = c.WriteAt(page, int64(b)*4096, fua)
		}
		if err != nil {
			return err
		}
		if fua != 0 {
			m.may[b] = m.may[b][len(m.may[b])-1:]
		}
	}
	return nil
}

func (m *crashModel) check(t *testing.T, disk *fsx.Mem, keys *dek.Keyring, k int, seed uint64) {
	t.Helper()
	o := smallOptions(disk)
	s, err := blockstore.Open("v", keys, &o)
	require.NoError(t, err, "cut at %d, seed %d", k, seed)
	got := make([]byte, 4096)
	for b := range m.may {
		_, err := s.File().ReadAt(got, int64(b)*4096)
		require.NoError(t, err)
		found := false
		for _, page := range m.may[b] {
			found = found || bytes.Equal(page, got)
		}
		require.True(t, found, "cut at %d, seed %d: block %d is none of %d", k, seed, b, len(m.may[b]))
	}
	r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
	require.NoError(t, s.Close())
}

// TestFailedSync: after a sync that failed flushes and writes fail until the
// volume is opened again, and reads go on.
func TestFailedSync(t *testing.T) {
	disk := memDisk()
	s := newStore(t, disk, 1<<20)
	v := serve(t, Volume(s), Options{})
	c := v.dial(nbdclient.Options{})
	require.NoError(t, c.WriteAt([]byte("kept"), 0, nbdclient.FUA))
	disk.Inject(fsx.Fault{Kind: fsx.OpSync})
	require.NoError(t, c.WriteAt([]byte("lost"), 0, 0))
	for range 2 {
		require.Equal(t, nbdclient.Errno(EIO), c.Flush())
		require.Equal(t, nbdclient.Errno(EIO), c.WriteAt([]byte("more"), 0, 0))
	}
	got := make([]byte, 4)
	_, err := c.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "kept", string(got))
	require.NoError(t, c.Disconnect())
	v.end()
	require.Error(t, s.Close())
}

// TestFullDisk: no space is told as that, and passes.
func TestFullDisk(t *testing.T) {
	disk := memDisk()
	s := newStore(t, disk, 8<<20)
	v := serve(t, Volume(s), Options{})
	c := v.dial(nbdclient.Options{})
	require.NoError(t, c.WriteAt([]byte("kept"), 0, nbdclient.FUA))
	disk.SetCapacity(disk.Used() + 100<<10)
	require.Equal(t, nbdclient.Errno(ENOSPC), c.WriteAt(make([]byte, 4<<20), 1<<20, 0))
	disk.SetCapacity(0)
	require.NoError(t, c.WriteAt(make([]byte, 4<<20), 1<<20, 0))
	require.NoError(t, c.Flush())
}

// TestDamage: a block that does not authenticate is an error, and its neighbours are read.
func TestDamage(t *testing.T) {
	disk := memDisk()
	keys, _ := ring(t, 1)
	s, err := blockstore.Create("v", keys, blockstore.CreateOptions{Options: smallOptions(disk), Size: 1 << 20, BlockSize: 4096})
	require.NoError(t, err)
	v := serve(t, Volume(s), Options{})
	c := v.dial(nbdclient.Options{})
	page := bytes.Repeat([]byte("page"), 1024)
	for b := range int64(3) {
		require.NoError(t, c.WriteAt(page, b*4096, 0))
	}
	require.NoError(t, c.Disconnect())
	v.end()
	require.NoError(t, s.Close())
	f, err := disk.Open("v", os.O_RDWR, 0)
	require.NoError(t, err)
	const place = 128<<10 + 5*16<<10 + 4096 + 77 // FORMAT.md, "Layout": in block 1, behind the metadata of group 0
	_, err = f.WriteAt([]byte("altered"), place)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	o := smallOptions(disk)
	s, err = blockstore.Open("v", keys, &o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	v = serve(t, Volume(s), Options{})
	c = v.dial(nbdclient.Options{})
	got := make([]byte, 4096)
	for b := range int64(3) {
		_, err := c.ReadAt(got, b*4096)
		if b == 1 {
			require.Equal(t, nbdclient.Errno(EIO), err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, page, got)
	}
	require.NoError(t, c.Disconnect())
	v.end()
}
