package seal

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

const fipsChild = "COFFER_TEST_FIPS_ONLY"

// In a process whose library refuses everything not approved, GCM and frames
// work, with nonces the library draws, and the suites that need GMAC with a
// nonce of ours are refused by name.
func TestFIPSOnly(t *testing.T) {
	if os.Getenv(fipsChild) == "" {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "-test.run=^TestFIPSOnly$", "-test.v")
		cmd.Env = append(os.Environ(), fipsChild+"=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: TestFIPSOnly")
		return
	}
	require.True(t, fips140.Enabled())
	for _, v := range variants() {
		sc := testScope(v)
		if v.suite == SuiteCBC || v.suite == SuiteXTS {
			_, err := New(v.suite, testKey(t, sc.Key, 1, v.bits), sc)
			require.ErrorIs(t, err, fault.Unsupported)
			continue
		}
		roundTrip(t, newCipher(t, v, sc), v, 4096, true)
	}
	TestFrameRoundTrip(t)
	TestFormatFrames(t)
}
