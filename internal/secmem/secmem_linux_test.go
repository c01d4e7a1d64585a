package secmem

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const childEnv = "COFFER_SECMEM_TEST_CHILD"

// TestMain is also the child process of the tests below.
func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "nodump":
		fmt.Println(DisableCoreDumps())
		d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var r unix.Rlimit
		fmt.Println(d, err, unix.Getrlimit(unix.RLIMIT_CORE, &r), r.Cur, r.Max)
	case "nolock": // root may lock without a limit, so it gives that up as well
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{})
		if os.Geteuid() == 0 {
			_ = unix.Setuid(65534)
		}
		b, err := From([]byte("secret"))
		fmt.Println(err, string(b.Bytes()))
		p := b.Bytes()
		b.Release()
		fmt.Println(p)
		fmt.Printf("%+v\n", StatusNow())
	case "guard":
		debug.SetPanicOnFault(true)
		defer func() { fmt.Println("fault:", recover() != nil) }()
		r := defaultArena.alloc(1)
		end := unsafe.Add(unsafe.Pointer(unsafe.SliceData(r.chunk.mem)), len(r.chunk.mem))
		*(*byte)(end) = 1
	}
}

func child(t *testing.T, what string) []string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), childEnv+"="+what)
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestDisableCoreDumps(t *testing.T) {
	require.Equal(t, []string{"<nil>", "0 <nil> <nil> 0 0"}, child(t, "nodump"))
}

func TestRefusedLockIsSaidAndWorks(t *testing.T) {
	out := child(t, "nolock")
	require.Equal(t, "<nil> secret", out[0])
	require.Equal(t, "[0 0 0 0 0 0]", out[1])
	require.Contains(t, out[2], "Locked:false DontDump:true")
	require.Contains(t, out[2], "mlock")
}

func TestGuardPage(t *testing.T) {
	require.Equal(t, []string{"fault: true"}, child(t, "guard"))
}

// What the kernel itself says about the pages of a buffer.
func TestKernelFlags(t *testing.T) {
	b, err := New(32)
	require.NoError(t, err)
	defer b.Release()
	maps, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b.Bytes())))
	inside := false
	var flags []string
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if rest, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			flags = strings.Fields(rest)
		}
	}
	require.NotEmpty(t, flags)
	s := StatusNow()
	require.Equal(t, s.Locked, contains(flags, "lo"), "%v", flags)
	require.Equal(t, s.DontDump, contains(flags, "dd"), "%v", flags)
	require.Equal(t, s.WipeOnFork, contains(flags, "wf"), "%v", flags)
	require.Equal(t, s.Reason == "", s.Locked && s.DontDump && s.WipeOnFork)
}

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}
