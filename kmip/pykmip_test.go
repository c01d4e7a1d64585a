package kmip

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

// pykmip is a real PyKMIP server on loopback, in a folder of its own.
type pykmip struct {
	ca   *authority
	port int
	dir  string
	stop func()
	run  func(t *testing.T)
}

// startPyKMIP starts a server and stops it, by its process, when the test ends.
// Where it is not installed the test is skipped; with CI=true that is a failure.
func startPyKMIP(t *testing.T, cert ...leaf) *pykmip {
	t.Helper()
	program, err := exec.LookPath("pykmip-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pykmip-server is missing: apt-get install python3-pykmip")
		}
		t.Skip("pykmip-server is missing: apt-get install python3-pykmip")
	}
	p := &pykmip{ca: newAuthority(t, "Test CA"), dir: t.TempDir(), port: freePort(t)}
	crt, key := p.ca.server()
	if len(cert) > 0 {
		crt, key = p.ca.issue(cert[0])
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "policy"), 0o700))
	conf := filepath.Join(p.dir, "server.conf")
	text := fmt.Sprintf("[server]\nhostname=127.0.0.1\nport=%d\ncertificate_path=%s\nkey_path=%s\nca_path=%s\nauth_suite=TLS1.2\n"+
		"policy_path=%s/policy\nenable_tls_client_auth=True\nlogging_level=DEBUG\ndatabase_path=%s/pykmip.db\n",
		p.port, crt, key, p.ca.ca(), p.dir, p.dir)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	p.run = func(t *testing.T) { p.start(t, program, conf) }
	p.run(t)
	return p
}

// start starts the server in a process group of its own: it has children, which
// outlive it unless they are stopped with it. Its output goes to a file, so that
// nobody waits for who holds a pipe.
func (p *pykmip) start(t *testing.T, program, conf string) {
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
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
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

// restart stops the server and starts it again, with the keys that it had.
func (p *pykmip) restart(t *testing.T) {
	p.stop()
	p.run(t)
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// as is the configuration of a client of that name.
func (p *pykmip) as(name string) Server {
	cert, key := p.ca.client(name)
	return Server{Name: "py", Hosts: []string{"127.0.0.1"}, Port: p.port, CA: p.ca.ca(), Cert: cert, Key: key, Timeout: Duration(10 * time.Second)}
}
