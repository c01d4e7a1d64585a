package fips

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// child makes the test binary ask for the mode and say what came of it.
const child = "COFFER_TEST_FIPS_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) == "" {
		os.Exit(m.Run())
	}
	fmt.Println("main has begun")
	if err := Start(nil); err != nil {
		fmt.Println("failed:", err)
		os.Exit(6)
	}
	fmt.Println(Current())
}

// run runs the child with these settings on top of the build's own.
func run(t *testing.T, env ...string) (output string, code int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "GODEBUG" && name != Env {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, child+"=1"), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), exit.ExitCode()
	}
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("no child processes where the processor is emulated")
	}
	require.NoError(t, err)
	return out.String(), 0
}

// Real processes: with the module of `make fips`, and with that of an ordinary build.
func TestProcesses(t *testing.T) {
	withModule := validated[fips140.Version()] != "" && unsupported() == ""
	for _, c := range []struct {
		name  string
		env   []string
		state State // with the validated module
		else_ State // without
	}{
		{"not asked", nil, Off, Off},
		{"not asked, GODEBUG on", []string{"GODEBUG=fips140=on"}, Off, Off},
		{"asked", []string{Env + "=1"}, On, Failed},
		{"asked, GODEBUG on", []string{Env + "=1", "GODEBUG=fips140=on"}, On, Failed},
		{"asked, GODEBUG only", []string{Env + "=1", "GODEBUG=fips140=only"}, On, Failed},
		{"asked, GODEBUG off", []string{Env + "=1", "GODEBUG=fips140=off"}, Failed, Failed},
		{"not understood", []string{Env + "=maybe"}, Failed, Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if unsupported() != "" {
				t.Skip(unsupported())
			}
			want := c.state
			if !withModule {
				want = c.else_
			}
			out, code := run(t, c.env...)
			require.Contains(t, out, "main has begun")
			require.Contains(t, out, want.String())
			require.Equal(t, want == Failed, code == 6, out)
			if want == On {
				require.Contains(t, out, "v1.0.0")
				require.Contains(t, out, "CMVP certificate 5247")
			}
		})
	}
}

// A self-test of the module that fails ends the process before main, so that
// nothing can be encrypted. Every algorithm that Coffer uses has one.
func TestModuleSelfTestFailure(t *testing.T) {
	if unsupported() != "" {
		t.Skip(unsupported())
	}
	for _, name := range []string{"AES-CBC", "CounterKDF", "CTR_DRBG", "HKDF-SHA2-256", "HMAC-SHA2-256", "PBKDF2", "SHA2-256", "SHA2-512"} {
		t.Run(name, func(t *testing.T) {
			out, code := run(t, "GODEBUG=fips140=on,failfipscast="+name)
			require.NotZero(t, code)
			require.Contains(t, out, "FIPS 140-3 self-test failed: "+name)
			require.NotContains(t, out, "main has begun")
		})
	}
	out, code := run(t, "GODEBUG=fips140=on,failfipscast=no such test")
	require.Zero(t, code, out)
}
