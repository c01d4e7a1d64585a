package blockstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// processEnv makes the test binary be a process that opens a volume: how,
// where. The key's bytes are fixed: these processes share nothing else.
const processEnv = "COFFER_BLOCKSTORE_TEST_PROCESS"

var processKeyID = dek.ID{1, 2, 3}

func processKeys(t testing.TB) *dek.Keyring {
	key, err := dek.Import(processKeyID, []byte("not a secret, but 32 bytes long."))
	require.NoError(t, err)
	defer key.Destroy()
	r := dek.NewKeyring()
	require.NoError(t, r.Activate(key, dek.Database, dek.Active))
	return r
}

// TestProcess is no test but the other process: it says "open" or why not, and
// with "write" the number of each commit that was acknowledged, until it is
// killed or its standard input ends.
func TestProcess(t *testing.T) {
	how, path, ok := strings.Cut(os.Getenv(processEnv), ":")
	if !ok {
		t.Skip("run by the others")
	}
	s, err := Open(path, processKeys(t), &Options{ReadOnly: how == "read", SegmentBytes: 64 << 10})
	if errors.Is(err, fault.InUse) {
		fmt.Println("in use")
		return
	}
	require.NoError(t, err)
	fmt.Println("open")
	if how != "write" {
		_, _ = io.Copy(io.Discard, os.Stdin)
		require.NoError(t, s.Close())
		return
	}
	for n := uint64(1); ; n++ {
		write1(t, s, n%8, pageOfSize(n, s.BlockSize()))
		fmt.Println(n)
	}
}

func pageOfSize(n uint64, size int) []byte {
	p := make([]byte, size)
	copy(p, strconv.FormatUint(n, 10))
	return p
}

// process is such a process.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newProcess(t *testing.T, how, path string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], "-test.run=^TestProcess$", "-test.v=false")}
	p.cmd.Env = append(os.Environ(), processEnv+"="+how+":"+path)
	p.cmd.Stderr = os.Stderr
	var err error
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewReader(out)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

// says returns the next line.
func (p *process) says() string {
	line, err := p.out.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(line)
}

// kill ends the process as SIGKILL does, and returns the last number it said.
func (p *process) kill() (last uint64) {
	require.NoError(p.t, p.cmd.Process.Kill())
	for line := p.says(); line != ""; line = p.says() {
		if n, err := strconv.ParseUint(line, 10, 64); err == nil {
			last = n
		}
	}
	_ = p.cmd.Wait()
	return last
}

// end lets the process close its volume.
func (p *process) end() {
	require.NoError(p.t, p.in.Close())
	require.NoError(p.t, p.cmd.Wait())
}

// TestTwoProcesses: one owner for writing, any number of readers, never both;
// a process that is killed owns nothing any more, and what it had acknowledged is there.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v")
	keys := processKeys(t)
	s, err := Create(path, keys, CreateOptions{Size: 8 * DefaultBlockSize})
	require.NoError(t, err)
	for _, how := range []string{"write", "read"} {
		require.Equal(t, "in use", newProcess(t, how, path).says(), "%s beside an owner in another process", how)
	}
	require.NoError(t, s.Close())

	readers := []*process{newProcess(t, "read", path), newProcess(t, "read", path)}
	for _, r := range readers {
		require.Equal(t, "open", r.says(), "readers share")
	}
	_, err = Open(path, keys, nil)
	require.ErrorIs(t, err, ErrInUse)
	_, err = Salvage(t.Context(), path, keys, path+"2", SalvageOptions{})
	require.NoError(t, err, "a salvage is a reader")
	mine, err := Open(path, keys, &Options{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, mine.Close())
	readers[0].end()
	require.Equal(t, "in use", newProcess(t, "write", path).says(), "one reader is left")
	readers[1].kill()

	for round := range 4 {
		owner := newProcess(t, "write", path)
		require.Equal(t, "open", owner.says())
		_, err = Open(path, keys, nil)
		require.ErrorIs(t, err, ErrInUse)
		_, err = Open(path, keys, &Options{ReadOnly: true})
		require.ErrorIs(t, err, ErrInUse)
		_, err = Salvage(t.Context(), path, keys, path+"3", SalvageOptions{})
		require.ErrorIs(t, err, ErrInUse)
		require.Equal(t, "1", owner.says())
		time.Sleep(time.Duration(round) * 15 * time.Millisecond)
		last := max(owner.kill(), 1)

		s, err := Open(path, keys, nil)
		require.NoError(t, err, "the lock died with its process")
		for n := last - min(last-1, 7); n <= last; n++ {
			got := string(read1(t, s, n%8)[:len(strconv.FormatUint(n, 10))])
			if n+8 > last+1 { // not overwritten by the one that was under way
				require.Equal(t, strconv.FormatUint(n, 10), got, "commit %d of %d was acknowledged", n, last)
			}
		}
		verified(t, s)
	}
}

// TestProcessesRace: of processes that open at once for writing, one gets it.
func TestProcessesRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v")
	s, err := Create(path, processKeys(t), CreateOptions{Size: 8 * DefaultBlockSize})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for range 3 {
		var all []*process
		for range 4 {
			all = append(all, newProcess(t, "hold", path))
		}
		open := 0
		for _, p := range all {
			switch said := p.says(); said {
			case "open":
				open++
			default:
				require.Equal(t, "in use", said)
			}
		}
		require.Equal(t, 1, open)
		for _, p := range all {
			p.end()
		}
	}
}
