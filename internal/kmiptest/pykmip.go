package kmiptest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	runs int
	stop func()
	run  func(t testing.TB) bool
}

// Start starts a server and stops it, by its process, when the test ends.
// Where it is not installed the test is skipped; with CI=true that is a failure.
func Start(t testing.TB, cert ...Leaf) *PyKMIP {
	t.Helper()
	return startAt(t, func() int { return freePort(t) }, cert...)
}

// startAt tries the ports that next returns, until one is free.
func startAt(t testing.TB, next func() int, cert ...Leaf) *PyKMIP {
	t.Helper()
	program, err := exec.LookPath("pykmip-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pykmip-server is missing: apt-get install python3-pykmip")
		}
		t.Skip("pykmip-server is missing: apt-get install python3-pykmip")
	}
	p := &PyKMIP{CA: NewAuthority(t, "Test CA"), dir: t.TempDir(), Port: next()}
	crt, key := p.CA.Server()
	if len(cert) > 0 {
		crt, key = p.CA.Issue(cert[0])
	}
	require.NoError(t, os.Mkdir(filepath.Join(p.dir, "policy"), 0o700))
	p.run = func(t testing.TB) bool { return p.start(t, program, crt, key) }
	for !p.run(t) { // somebody else took the port
		p.Port = next()
	}
	return p
}

// configure writes the server's configuration and returns its path.
func (p *PyKMIP) configure(t testing.TB, crt, key string) string {
	conf := filepath.Join(p.dir, "server.conf")
	text := fmt.Sprintf("[server]\nhostname=127.0.0.1\nport=%d\ncertificate_path=%s\nkey_path=%s\nca_path=%s\nauth_suite=TLS1.2\n"+
		"policy_path=%s/policy\nenable_tls_client_auth=True\nlogging_level=DEBUG\ndatabase_path=%s/pykmip.db\n",
		p.Port, crt, key, p.CA.CA(), p.dir, p.dir)
	require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	return conf
}

// start starts the server in a process group of its own: it has children, which
// outlive it unless they are stopped with it. Its output goes to a file, so that
// nobody waits for who holds a pipe. It is false where the server ended at once
// because its port is in use.
func (p *PyKMIP) start(t testing.TB, program, crt, key string) bool {
	out, err := os.Create(filepath.Join(p.dir, "output"))
	require.NoError(t, err)
	defer out.Close()
	p.runs++
	log := filepath.Join(p.dir, fmt.Sprintf("server-%d.log", p.runs))
	cmd := exec.Command(program, "-f", p.configure(t, crt, key), "-l", log)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = ownGroup()
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it was killed, or its log says why
		close(ended)
	}()
	p.stop = sync.OnceFunc(func() {
		stopGroup(cmd.Process)
		<-ended
	})
	t.Cleanup(p.stop)
	listens, err := await(log, ended)
	if err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("PyKMIP does not start: %v: %s", err, text)
	}
	if !listens {
		p.stop()
	}
	return listens
}

// startTime is what the server may take until it listens, on a machine that
// does much else meanwhile.
const startTime = time.Minute

// await waits until the server says in its log that it listens. It is false
// where the server says that it cannot have its port.
func await(log string, ended <-chan struct{}) (bool, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(startTime)
	for {
		gone := false
		select {
		case <-ended:
			gone = true
		case <-late:
			return false, fmt.Errorf("it does not listen within %s", startTime)
		case <-tick.C:
		}
		text, _ := os.ReadFile(log) // it is not there at first
		switch {
		case strings.Contains(string(text), "successfully bound"):
			return true, nil
		case strings.Contains(string(text), "already in use"):
			return false, nil
		case gone:
			return false, errors.New("it ended")
		}
	}
}

// Stop stops the server for good.
func (p *PyKMIP) Stop() { p.stop() }

// Restart stops the server and starts it again, with the keys that it had.
func (p *PyKMIP) Restart(t testing.TB) {
	p.stop()
	require.True(t, p.run(t), "its port is still free")
}

// DeadPort is a port at which nobody listens: it is never given to a program
// that asks for any, as one that was free a moment ago may be.
const DeadPort = 1

// freePort returns a port that was free a moment ago.
func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
