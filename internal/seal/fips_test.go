package seal

import (
	"bytes"
	"crypto/fips140"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// fipsChild is set in a child process that is restricted to what Go's module
// approves: with FIPS mode where this build has the validated module, else with
// GODEBUG=fips140=only over the module of the Go release. It holds a folder.
const fipsChild = "COFFER_TEST_FIPS_ONLY"

// restricted runs a test of this binary again in such a process. It returns
// false in the parent, when the child is done.
func restricted(t *testing.T, name, dir string) bool {
	t.Helper()
	if os.Getenv(fipsChild) != "" {
		return true
	}
	if fips.Current().State == fips.Unsupported {
		t.Skip(fips.Unsupported)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), fipsChild+"="+dir, "GODEBUG=fips140=only")
	if fips140.Version() != "latest" {
		cmd.Env = append(cmd.Env, fips.Env+"=1")
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("no child processes where the processor is emulated")
	}
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: "+name)
	return false
}

// In FIPS mode GCM and frames work, with nonces the module draws, CBC opens,
// and XTS is refused by name.
func TestFIPSOnly(t *testing.T) {
	if !restricted(t, "TestFIPSOnly", t.TempDir()) {
		return
	}
	require.True(t, fips140.Enabled())
	require.True(t, fips.LibraryOnly())
	require.NotEmpty(t, variants())
	for _, v := range variants() {
		require.Contains(t, []Suite{SuiteGCM, SuiteNone}, v.suite)
		roundTrip(t, newCipher(t, v, testScope(v)), v, 4096, true)
	}
	for _, v := range []variant{{SuiteXTS, 128}, {SuiteXTS, 256}} {
		sc := testScope(v)
		_, err := New(v.suite, testKey(t, sc.Key, 1, v.bits), sc)
		require.ErrorIs(t, err, fault.Unsupported)
		require.ErrorIs(t, err, fips.ErrNotApproved)
		require.ErrorContains(t, err, "aes-xts")
	}
	TestFrameRoundTrip(t)
	TestFormatFrames(t)
	TestFormatBlocks(t)
}

// sealedInOneMode is what one process hands to the other.
type sealedInOneMode struct {
	Variants []variantBlocks
	Frames   []sealedFrame
}

type variantBlocks struct {
	Suite  Suite
	Bits   int
	Blocks []Block
}

type sealedFrame struct {
	Bits  int
	Out   []byte
	Nonce [NonceSize]byte
	Tag   [TagSize]byte
}

// What one mode seals the other opens; what may be sealed in one only, too,
// where the other may open it.
func TestModesReadEachOther(t *testing.T) {
	if fips.LibraryOnly() && os.Getenv(fipsChild) == "" {
		t.Skip("this process is in FIPS mode already")
	}
	dir := os.Getenv(fipsChild)
	if dir == "" {
		dir = t.TempDir()
		sealAll(t, filepath.Join(dir, "kernels"))
	}
	if restricted(t, "TestModesReadEachOther", dir) {
		require.Equal(t, 7, openAll(t, filepath.Join(dir, "kernels")), "gcm and cbc in three lengths each, none")
		sealAll(t, filepath.Join(dir, "library"))
		return
	}
	require.Equal(t, 4, openAll(t, filepath.Join(dir, "library")), "gcm in three lengths, none")
}

func sealAll(t *testing.T, file string) {
	var all sealedInOneMode
	for _, v := range variants() {
		batch, _ := plainBatch(5, 4096, false)
		require.NoError(t, newCipher(t, v, testScope(v)).Seal(batch))
		all.Variants = append(all.Variants, variantBlocks{v.suite, v.bits, batch})
	}
	for _, bits := range frameBits {
		var f sealedFrame
		var err error
		f.Bits = bits
		f.Out, f.Nonce, f.Tag, err = newTestFrame(t, bits).Seal(nil, random(5, 5001), random(6, 72))
		require.NoError(t, err)
		all.Frames = append(all.Frames, f)
	}
	text, err := json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

// openAll returns how many pairs of suite and length were opened.
func openAll(t *testing.T, file string) (opened int) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all sealedInOneMode
	require.NoError(t, json.Unmarshal(text, &all))
	for _, v := range all.Variants {
		if v.Suite.Allowed(false) != nil {
			continue
		}
		opened++
		c := newCipher(t, variant{v.Suite, v.Bits}, testScope(variant{v.Suite, v.Bits}))
		want, plain := plainBatch(5, 4096, false)
		turn(v.Blocks, true)
		v.Blocks[3].Tag[0] ^= 1
		require.ErrorIs(t, c.Open(v.Blocks), fault.Tampered)
		for i, b := range v.Blocks {
			if i == 3 {
				require.ErrorIs(t, b.Err, fault.Tampered)
				plain[i] = make([]byte, 4096)
			} else {
				require.NoError(t, b.Err)
			}
			require.Equal(t, want[i].Position, b.Position)
			require.True(t, bytes.Equal(plain[i], b.Dst))
		}
	}
	require.NotEmpty(t, all.Frames)
	for _, f := range all.Frames {
		out, err := newTestFrame(t, f.Bits).Open(nil, f.Out, random(6, 72), f.Nonce, f.Tag)
		require.NoError(t, err)
		require.Equal(t, random(5, 5001), out)
	}
	return opened
}
