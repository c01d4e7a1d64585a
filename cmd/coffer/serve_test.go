package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/kmiptest"
	"github.com/cofferdb/coffer/internal/nbdclient"
)

// shortDesk is a desk whose path leaves room for a socket's address, with a volume v.
func shortDesk(t *testing.T, size string) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "serve")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	d := &desk{t: t, dir: dir}
	require.NoError(t, os.WriteFile(d.path("pw"), []byte("correct Horse 7 battery!\n"), 0o600))
	d.key = strings.TrimSpace(d.ok("keyfile", "create", "keys", "--iterations", "65536"))
	d.ok("create", "v", "--size", size, "--block-size", "4096")
	return d
}

// serve starts a server and waits until it is ready.
func (d *desk) serve(args ...string) (c *child, uri string) {
	d.t.Helper()
	c = d.start(append([]string{"serve", "nbd", "v"}, args...)...)
	d.t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // it has ended, unless the test failed
	uri = c.line(func(l string) bool { return strings.HasPrefix(l, "nbd") })
	require.NotEmpty(d.t, uri, c.stderr)
	return c, uri
}

func (d *desk) dial(uri string, o nbdclient.Options) *nbdclient.Client {
	d.t.Helper()
	u, err := url.Parse(uri)
	require.NoError(d.t, err)
	network, address := "unix", u.Query().Get("socket")
	if u.Scheme == "nbds" {
		network, address = "tcp", u.Host
	}
	c, err := nbdclient.Dial(network, address, o)
	require.NoError(d.t, err)
	return c
}

// TestServe: a device until SIGTERM, with the verbs that are sent to it, and what others are told meanwhile.
func TestServe(t *testing.T) {
	t.Parallel()
	d := shortDesk(t, "8M")
	server, uri := d.serve("--socket", "s", "--export-name", "disk")
	require.Equal(t, "nbd+unix:///disk?socket="+d.path("s"), uri)
	c := d.dial(uri, nbdclient.Options{Export: "disk", Structured: true})
	require.NoError(t, c.WriteAt([]byte("written over NBD"), 4090, nbdclient.FUA))

	_, errs, code := d.run("serve", "nbd", "v", "--socket", "other")
	require.Equal(t, exitState, code, errs)
	_, err := os.Lstat(d.path("other"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, errs, code = d.run("serve", "nbd", "v", "--socket", "s")
	require.Equal(t, exitState, code, errs)
	_, errs, code = d.run("put", "v", "--offset", "0")
	require.Equal(t, exitState, code, errs)

	require.Contains(t, d.ok("anchor", "v"), "coffer-anchor-1.")
	require.Contains(t, d.ok("info", "v", "--keys"), d.key)
	require.Contains(t, d.ok("verify", "v"), "all correct")
	d.ok("backup", "v", "full")
	require.NoError(t, c.WriteAt([]byte("and more"), 1<<20, 0))
	d.ok("backup", "v", "more", "--since", "full")
	_, errs, code = d.run("backup", "v", "more")
	require.Equal(t, exitState, code, errs)
	_, errs, code = d.run("verify", "v", "--cipher", "aes-xts")
	require.Equal(t, exitState, code, errs)
	_, errs, code = d.run("verify", "v", "--expect-anchor", strings.TrimSpace(d.ok("anchor", "v")))
	require.Equal(t, exitState, code, errs)

	id := strings.TrimSpace(d.ok("rekey", "v", "--new-key"))
	require.True(t, isID(id), id)
	keys := d.ok("info", "v", "--keys")
	require.Contains(t, keys, id)
	require.NotRegexp(t, d.key+`\s+[1-9]`, keys)
	require.Contains(t, d.ok("rekey", "v", "--to-key", d.key, "--json", "--purge"), `"done": "rekeyed"`)
	_, errs, code = d.run("rekey", "v", "--to-key", "9158980E-AE52-4E12-82FD-AA5A2909D029")
	require.Equal(t, exitKey, code, errs)

	require.NoError(t, c.Disconnect())
	require.Zero(t, server.signal(syscall.SIGTERM), server.stderr)
	for _, name := range []string{"s", "v.ctl", "v.journal"} {
		_, err := os.Lstat(d.path(name))
		require.ErrorIs(t, err, os.ErrNotExist, name)
	}
	require.Contains(t, d.ok("verify", "v"), "all correct")
	require.Contains(t, d.ok("info", "v"), "closed cleanly  yes")
	require.Equal(t, "written over NBD", d.ok("cat", "v")[4090:][:16])
	d.ok("restore", "more", "restored")
	require.Equal(t, "and more", d.ok("cat", "restored")[1<<20:][:8])
}

// TestServeNewKeyElsewhere: a new key that the server would not find is not made.
func TestServeNewKeyElsewhere(t *testing.T) {
	t.Parallel()
	d := shortDesk(t, "1M")
	d.ok("keyfile", "create", "others", "--iterations", "65536")
	before, err := os.ReadFile(d.path("others"))
	require.NoError(t, err)
	server, _ := d.serve("--socket", "s")
	_, errs, code := d.run("rekey", "v", "--new-key", "--keyfile", "others")
	require.Equal(t, exitState, code, errs)
	require.Contains(t, errs, d.path("keys"))
	after, err := os.ReadFile(d.path("others"))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Zero(t, server.signal(syscall.SIGINT), server.stderr)

	require.NoError(t, os.WriteFile(d.path("v.ctl"), []byte("mine"), 0o600))
	volume, err := os.ReadFile(d.path("v"))
	require.NoError(t, err)
	_, errs, code = d.run("serve", "nbd", "v", "--socket", "s")
	require.Equal(t, exitState, code, errs)
	after, err = os.ReadFile(d.path("v"))
	require.NoError(t, err)
	require.Equal(t, volume, after, "a refusal leaves the volume as it was")
}

func TestServeReadOnly(t *testing.T) {
	t.Parallel()
	d := shortDesk(t, "1M")
	before, err := os.ReadFile(d.path("v"))
	require.NoError(t, err)
	server, uri := d.serve("--socket", "s", "--read-only")
	c := d.dial(uri, nbdclient.Options{})
	require.Equal(t, nbdclient.Errno(1), c.WriteAt([]byte("no"), 0, 0))
	require.Contains(t, d.ok("verify", "v"), "all correct", "readers share")
	require.NoError(t, c.Disconnect())
	require.Zero(t, server.signal(syscall.SIGTERM), server.stderr)
	after, err := os.ReadFile(d.path("v"))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	d := shortDesk(t, "1M")
	ca := kmiptest.NewAuthority(t, "ca")
	cert, key := ca.Server()
	mine, mykey := ca.Client("me")
	server, uri := d.serve("--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--client-ca", ca.CA())
	pair, err := tls.LoadX509KeyPair(mine, mykey)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost"}
	c := d.dial(uri, nbdclient.Options{TLS: config})
	require.NoError(t, c.WriteAt([]byte("secret"), 0, nbdclient.FUA))
	require.NoError(t, c.Disconnect())
	u, err := url.Parse(uri)
	require.NoError(t, err)
	_, err = nbdclient.Dial("tcp", u.Host, nbdclient.Options{})
	require.Error(t, err)
	require.Zero(t, server.signal(syscall.SIGTERM), server.stderr)

	for _, args := range [][]string{
		{}, {"--listen", "127.0.0.1:0"}, {"--listen", "127.0.0.1:0", "--socket", "s", "--tls-cert", cert, "--tls-key", key, "--client-ca", ca.CA()},
		{"--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key, "--client-ca", ca.CA()},
		{"--listen", "localhost", "--tls-cert", cert, "--tls-key", key, "--client-ca", ca.CA()},
		{"--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", cert, "--client-ca", ca.CA()},
		{"--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key, "--client-ca", key},
		{"--socket", "s", "--read-only", "--discard-journal"}, {"--socket", "s", "--max-connections", "-1"},
	} {
		_, errs, code := d.run(append([]string{"serve", "nbd", "v"}, args...)...)
		require.Equal(t, exitUsage, code, "%v: %s", args, errs)
	}
}

// killRounds is how often the server is killed.
const killRounds = 2

// TestServeKilled: the server is killed, under fio where that is there, while another client writes with
// FUA and flushes. What was acknowledged is there afterwards, everything authenticates, and the next server
// takes the sockets' places.
func TestServeKilled(t *testing.T) {
	t.Parallel()
	d := shortDesk(t, "16M")
	_, err := exec.LookPath("fio")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("fio is missing: apt-get install fio")
	}
	m := &acked{d: d, fio: err == nil}
	for b := range m.may {
		m.may[b] = []uint64{0} // a block of zeros
	}
	for round := range killRounds {
		server, uri := d.serve("--socket", "s")
		m.check(uri)
		done := m.load(uri, byte(round))
		require.Equal(t, -1, server.signal(syscall.SIGKILL))
		done()
		_, err := net.Dial("unix", d.path("v.ctl"))
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "the dead server's socket is there")
		require.Contains(t, d.ok("verify", "v"), "all correct")
	}
	server, uri := d.serve("--socket", "s")
	m.check(uri)
	require.Contains(t, d.ok("verify", "v"), "all correct")
	require.Zero(t, server.signal(syscall.SIGTERM), server.stderr)
	if !m.fio {
		t.Log("without fio, which is missing: apt-get install fio")
	}
}

// acked remembers for each block of its part of the device, the upper 8 MiB, what may be in it.
type acked struct {
	d   *desk
	fio bool
	may [64][]uint64 // stamps: the first is durable, the others were written since
}

const ackedAt = 8 << 20

func stamp(n uint64) []byte { return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, n), 512) }

// load writes until the server is gone. It returns when enough was acknowledged; done waits for the end.
func (m *acked) load(uri string, round byte) (done func()) {
	t := m.d.t
	c := m.d.dial(uri, nbdclient.Options{})
	enough := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		n := uint64(round) << 32
		for i := 0; ; i++ {
			n++
			b := i * 7 % len(m.may)
			fua := uint16(i % 2)
			m.may[b] = append(m.may[b], n)
			if c.WriteAt(stamp(n), ackedAt+int64(b)*4096, fua) != nil {
				return
			}
			if fua != 0 {
				m.may[b] = []uint64{n}
			}
			if i%16 == 15 {
				if c.Flush() != nil {
					return
				}
				for b, may := range m.may {
					m.may[b] = may[len(may)-1:]
				}
			}
			if i == 150 {
				close(enough)
			}
		}
	})
	if m.fio {
		x := exec.Command("fio", "--name=load", "--ioengine=nbd", "--uri="+uri, "--rw=randwrite", "--bssplit=4k/60:512/10:64k/30",
			"--size=8M", "--iodepth=8", "--fsync=8", "--time_based", "--runtime=60", "--output-format=terse")
		x.Dir = m.d.dir
		require.NoError(t, x.Start())
		wg.Go(func() { _ = x.Wait() }) // its server is killed
	}
	<-enough
	return wg.Wait
}

// check reads everything and compares; what is there is durable from then on.
func (m *acked) check(uri string) {
	t := m.d.t
	c := m.d.dial(uri, nbdclient.Options{})
	page := make([]byte, 4096)
	for b := range m.may {
		_, err := c.ReadAt(page, ackedAt+int64(b)*4096)
		require.NoError(t, err)
		n := binary.LittleEndian.Uint64(page)
		require.Equal(t, stamp(n), page, "block %d is torn", b)
		require.Contains(t, m.may[b], n, "block %d", b)
		m.may[b] = []uint64{n}
	}
	require.NoError(t, c.Disconnect())
}
