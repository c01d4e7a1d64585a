package nbd

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
)

// tool looks for a program that others wrote. Where it is missing the test is
// skipped, and fails where nothing may be missing.
func tool(t *testing.T, name, debian string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: apt-get install %s", name, debian)
	}
	t.Skipf("%s is missing: apt-get install %s", name, debian)
}

// export is a volume on disk, served.
type export struct {
	t   *testing.T
	dir string
	s   *blockstore.Store
	ids []dek.ID
	uri string
}

func newExport(t *testing.T, size int64) *export {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	keys, ids := ring(t, 2)
	s, err := blockstore.Create(filepath.Join(dir, "v"), keys, blockstore.CreateOptions{Size: size, BlockSize: 4096})
	require.NoError(t, err)
	t.Cleanup(func() {
		r, err := s.Verify(context.Background(), blockstore.VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		require.NoError(t, s.Close())
	})
	v := serve(t, Volume(s), Options{Name: "disk"})
	return &export{t, dir, s, ids, "nbd+unix:///?socket=" + v.address}
}

// run runs a foreign program to its end.
func (e *export) run(name string, args ...string) string {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = e.dir
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	require.NoError(e.t, err, "%s %v\n%s%s", name, args, &out, &errs)
	return out.String()
}

func (e *export) file(name string, data []byte) string {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	require.NoError(e.t, os.WriteFile(path, data, 0o600))
	return path
}

func TestToolNbdinfo(t *testing.T) {
	tool(t, "nbdinfo", "libnbd-bin")
	e := newExport(t, 10<<20)
	var info struct {
		Protocol   string `json:"protocol"`
		Structured bool   `json:"structured"`
		Exports    []struct {
			Name      string   `json:"export-name"`
			Size      int64    `json:"export-size"`
			Contexts  []string `json:"contexts"`
			ReadOnly  bool     `json:"is_read_only"`
			FUA       bool     `json:"can_fua"`
			Flush     bool     `json:"can_flush"`
			Trim      bool     `json:"can_trim"`
			Zero      bool     `json:"can_zero"`
			MultiConn bool     `json:"can_multi_conn"`
			Preferred int      `json:"block_size_preferred"`
		} `json:"exports"`
	}
	require.NoError(t, json.Unmarshal([]byte(e.run("nbdinfo", "--json", e.uri)), &info))
	require.True(t, info.Structured)
	require.Len(t, info.Exports, 1)
	x := info.Exports[0]
	require.True(t, x.FUA && x.Flush && x.Trim && x.Zero && x.MultiConn && !x.ReadOnly)
	require.Equal(t, int64(10<<20), x.Size)
	require.Equal(t, 4096, x.Preferred)
	require.Equal(t, []string{"base:allocation"}, x.Contexts)
	require.Contains(t, e.run("nbdinfo", "--list", e.uri), `export="disk"`)

	_, err := e.s.File().WriteAt([]byte("data"), 5<<20)
	require.NoError(t, err)
	var extents []struct {
		Offset, Length int64
		Type           int
	}
	require.NoError(t, json.Unmarshal([]byte(e.run("nbdinfo", "--json", "--map", e.uri)), &extents))
	require.Len(t, extents, 3)
	require.Equal(t, [3]int64{5 << 20, 4096, 0}, [3]int64{extents[1].Offset, extents[1].Length, int64(extents[1].Type)})
}

// TestToolNbdcopy: an image with holes there, over four connections, and back.
func TestToolNbdcopy(t *testing.T) {
	tool(t, "nbdcopy", "libnbd-bin")
	e := newExport(t, 12<<20)
	image := make([]byte, 12<<20)
	rng := rand.NewChaCha8([32]byte{7})
	_, _ = rng.Read(image[:3<<20])
	_, _ = rng.Read(image[8<<20+100 : 9<<20+1])
	there := e.file("image", image)
	e.run("nbdcopy", "--flush", "--connections=4", there, e.uri)
	n, hole, err := e.s.File().Extent(3<<20, 9<<20)
	require.NoError(t, err)
	require.True(t, hole)
	require.Equal(t, int64(5<<20), n, "zeros became a hole")
	back := filepath.Join(e.dir, "back")
	e.run("nbdcopy", "--connections=4", e.uri, back)
	got, err := os.ReadFile(back)
	require.NoError(t, err)
	require.True(t, bytes.Equal(image, got))
}

func TestToolQemuIO(t *testing.T) {
	tool(t, "qemu-io", "qemu-utils")
	e := newExport(t, 8<<20)
	var args []string
	for _, c := range []string{
		"write -P 0xab 1M 64k", "read -P 0xab 1M 64k", "write -P 0xcd 1000 3000", "read -P 0xcd 1000 3000", "read -P 0 4000 1000",
		"write -f -P 0xef 2M 4k", "write -z 1M 32k", "read -P 0 1M 32k", "read -P 0xab 1081344 32k", "write -z -u 2M 4k", "read -P 0 2M 4k",
		"aio_write -P 1 3M 512k", "aio_write -P 2 4M 512k", "aio_flush", "read -P 1 3M 512k", "read -P 2 4M 512k", "discard 3M 512k", "flush",
		"read -P 2 4M 512k",
	} {
		args = append(args, "-c", c)
	}
	out := e.run("qemu-io", append([]string{"-f", "raw", e.uri}, args...)...)
	require.NotContains(t, out, "Pattern verification failed")
	require.NotContains(t, out, "failed:")
	_, hole, err := e.s.File().Extent(3<<20, 512<<10)
	require.NoError(t, err)
	require.True(t, hole)
	require.Contains(t, e.run("qemu-img", "info", "--output=json", e.uri), `"virtual-size": 8388608`)
}

// fio runs fio with checksums over everything that it writes.
func (e *export) fio(args ...string) {
	e.t.Helper()
	out := e.run("fio", append([]string{"--name=verify", "--ioengine=nbd", "--uri=" + e.uri, "--verify=crc32c", "--verify_fatal=1",
		"--iodepth=16", "--randrepeat=0", "--output-format=terse"}, args...)...)
	require.False(e.t, strings.Contains(out, "verify:"), out)
}

// TestToolFio: crc32c over mixed sizes, aligned and not.
func TestToolFio(t *testing.T) {
	tool(t, "fio", "fio")
	e := newExport(t, 16<<20)
	e.fio("--rw=randrw", "--size=4M", "--bssplit=512/10:4k/40:8k/20:64k/25:1m/5", "--verify_backlog=64", "--fsync=32")
	e.fio("--rw=randwrite", "--size=2M", "--offset=8M", "--bs=5000", "--bs_unaligned")
}

// TestToolFioRekey: the volume is re-keyed, again and again, while fio writes and checks.
func TestToolFioRekey(t *testing.T) {
	tool(t, "fio", "fio")
	e := newExport(t, 16<<20)
	stop, rekeyed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { rekeyed <- n }()
		for {
			c, err := e.s.Convert(context.Background(), blockstore.Conversion{Key: e.ids[(n+1)%2], Pace: blockstore.Pace{Share: 0.5}})
			if err != nil {
				t.Errorf("re-key %d: %v", n, err)
				return
			}
			if res, err := c.Wait(); err != nil || !res.Complete {
				t.Errorf("re-key %d: %+v, %v", n, res, err)
				return
			}
			n++
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	e.fio("--rw=randrw", "--size=6M", "--bs=4k", "--verify_backlog=32", "--fsync=16")
	close(stop)
	n := <-rekeyed
	t.Logf("%d re-keys", n)
	require.Positive(t, n)
}
