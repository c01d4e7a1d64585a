package kmiptest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// PyKMIP is a real PyKMIP server on loopback, in a folder of its own.
type PyKMIP struct {
	CA   *Authority
	Port int
	dir  string
	stop func()
	run  func(t testing.TB)
}

// Start starts a server and stops it, by its process, when the test ends.
// Where it is not installed the test is skipped; with CI=true that is a failure.
func Start(t testing.TB, cert ...Leaf) *PyKMIP {
	t.Helper()
	program, err := exec.LookPath("pykmip-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pykmip-server is missing: apt-get install python3-pykmip")
		}
		t.Skip("pykmip-server is missing: apt-get install python3-pykmip")
	}
	p := &PyKMIP{CA: NewAuthority(t, "Test CA"), dir: t.TempDir(), Port: FreePort(t)}
	crt, key := p.CA.Server()
	if len(cert) > 0 {
		crt, key = p.CA.Issue(cert[0])
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "policy"), 0o700))
	conf := filepath.Join(p.dir, "server.conf")
	text := fmt.Sprintf("[server]\nhostname=127.0.0.1\nport=%d\ncertificate_path=%s\nkey_path=%s\nca_path=%s\nauth_suite=TLS1.2\n"+
		"policy_path=%s/policy\nenable_tls_client_auth=True\nlogging_level=DEBUG\ndatabase_path=%s/pykmip.db\n",
		p.Port, crt, key, p.CA.CA(), p.dir, p.dir)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	p.run = func(t testing.TB) { p.start(t, program, conf) }
	p.run(t)
	return p
}

// start starts the server in a process group of its own: it has children, which
// outlive it unless they are stopped with it. Its output goes to a file, so that
// nobody waits for who holds a pipe.
func (p *PyKMIP) start(t testing.TB, program, conf string) {
	out, err := os.Create(filepath.Join(p.dir, "output"))
	require.NoError(t, err)
	defer out.Close()
	cmd := exec.Command(program, "-f", conf, "-l", filepath.Join(p.dir, "server.log"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup()
	require.NoError(t, cmd.Start())
	p.stop = sync.OnceFunc(func() {
		stopGroup(cmd.Process)
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(p.stop)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port))
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(until) {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("PyKMIP does not start: %s", text)
		}
	}
}

// Restart stops the server and starts it again, with the keys that it had.
func (p *PyKMIP) Restart(t testing.TB) {
	p.stop()
	p.run(t)
}

// FreePort returns a port that was free a moment ago.
func FreePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
