package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Server is a running server. It has one superuser, coffer, whom it trusts, and
// the database postgres.
type Server struct {
	dir   string
	cmd   *exec.Cmd
	ended chan struct{}
	life  *os.File // the server ends when it is closed
}

// startWithin bounds how long a server may take to accept connections.
const startWithin = 30 * time.Second

// Start starts a server that ends with the test. Where PostgreSQL is missing the
// test is skipped; with CI=true it fails.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start(mustFind(t))
	require.NoError(t, err)
	t.Cleanup(s.stop)
	return s
}

func mustFind(t testing.TB) string {
	t.Helper()
	bin, err := find()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return bin
}

// DSN is the URL of a database of the server.
func (s *Server) DSN() string {
	return "postgres://coffer@/postgres?host=" + url.QueryEscape(s.dir)
}

// shared is the server of [Shared].
var shared *Server

// Shared returns one server for all tests of a binary, started at the first call.
// It ends with [Main].
func Shared(t testing.TB) *Server {
	t.Helper()
	if shared == nil {
		bin := mustFind(t)
		s, err := start(bin)
		require.NoError(t, err)
		shared = s
	}
	return shared
}

// Main is TestMain for binaries that call [Shared].
func Main(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// find returns the folder with the server's programs: on the PATH, or where Debian puts them.
func find() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && executable(filepath.Join(filepath.Dir(path), "postgres")) {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL is missing: apt-get install -y --no-install-recommends postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// start makes a database cluster and starts a server in it. The path of a unix
// socket has 107 bytes at most, so that the folder is not a test's own.
func start(bin string) (s *Server, err error) {
	dir, err := os.MkdirTemp("", "cofferpg")
	if err != nil {
		return nil, err
	}
	s = &Server{dir: dir, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if err := give(dir); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := s.command(bin, "initdb", "-D", data, "-U", "coffer", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.launch(bin, data); err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	return s, s.ready(bin)
}

// guard runs a server until it ends or the pipe at descriptor 3 does: that of a test
// process that was killed ends too, so that no server outlives its tests.
const guard = `"$@" & server=$!
{ cat <&3 >/dev/null; kill -INT $server; } 2>/dev/null &
exec 3<&-
wait $server`

// launch starts the server.
func (s *Server) launch(bin, data string) error {
	log, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	s.cmd = exec.Command("sh", "-c", guard, "sh", filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-F", "-c", "listen_addresses=",
		"-c", "shared_buffers=16MB", "-c", "max_connections=50", "-c", "autovacuum=off")
	s.cmd.Dir, s.cmd.Env, s.cmd.SysProcAttr = s.dir, environment(), asOwner(s.dir)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.ExtraFiles = log, log, []*os.File{r}
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return errors.Join(err, w.Close())
	}
	s.life = w
	return nil
}

func (s *Server) command(bin, name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(bin, name), args...)
	c.Dir, c.Env, c.SysProcAttr = s.dir, environment(), asOwner(s.dir)
	return c
}

// stop ends the server, without waiting for its clients, and removes its folder.
func (s *Server) stop() {
	if s.cmd != nil {
		_ = s.life.Close()
		<-s.ended
	}
	_ = os.RemoveAll(s.dir) // a temporary folder: what stays harms nobody
}

// ready waits until the server accepts connections.
func (s *Server) ready(bin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	for {
		ask := exec.CommandContext(ctx, filepath.Join(bin, "pg_isready"), "-q", "-h", s.dir, "-U", "coffer", "-d", "postgres")
		if ask.Run() == nil {
			return nil
		}
		select {
		case <-s.ended:
			said, err := os.ReadFile(filepath.Join(s.dir, "server.log"))
			return errors.Join(fmt.Errorf("PostgreSQL did not start:\n%s", said), err)
		case <-ctx.Done():
			return errors.New("PostgreSQL does not accept connections")
		case <-time.After(20 * time.Millisecond): // asked again, as often as it takes
		}
	}
}

// environment is this process's without what would send a client elsewhere.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
}
