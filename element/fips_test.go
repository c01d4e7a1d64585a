package element

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// fipsChild is set in a child process that is restricted to what Go's module
// approves: with FIPS mode where this build has the validated module, else with
// GODEBUG=fips140=only over the module of the Go release.
const fipsChild = "COFFER_TEST_FIPS_ONLY"

// restricted runs a test of this binary again in such a process. It returns false
// in the parent, when the child is done.
func restricted(t *testing.T, name string) bool {
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
	cmd.Env = append(os.Environ(), fipsChild+"=1", "GODEBUG=fips140=only")
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

// In FIPS mode GCM and streams work with nonces that the module draws, CBC works,
// SIV and digits are refused by name; what was written outside of it opens, and the
// other way round.
func TestFIPSOnly(t *testing.T) {
	if !restricted(t, "TestFIPSOnly") {
		return
	}
	require.True(t, fips140.Enabled())
	require.True(t, fips.LibraryOnly())
	require.Equal(t, []Suite{GCM, CBC, CBCUnauthenticated}, allowed())
	TestGolden(t) // made with the kernels
	TestRoundTrip(t)
	TestAlteredAndCut(t)
	TestStreamRoundTrip(t)
	TestStreamAltered(t)
	TestIndex(t)
	c, ids := newCipher(t, 256)
	k, err := c.use(ids[0])
	require.NoError(t, err)
	st, err := k.suite(GCM)
	require.NoError(t, err)
	c.mu.RUnlock()
	require.IsType(t, gcmLibrary{}, st.engine)

	_, err = c.EncryptWith(SIV, nil, ids[0], nil)
	require.ErrorIs(t, err, fault.Unsupported)
	require.ErrorIs(t, err, fips.ErrNotApproved)
	require.NotEmpty(t, fault.HintOf(err))
	_, err = c.EncryptDigits("123456", ids[0], nil)
	require.ErrorIs(t, err, fault.Unsupported)
}

// The kernels and Go's library write the same bytes: each opens what the other sealed.
func TestLibraryAgreesWithKernels(t *testing.T) {
	c, ids := newCipher(t, 256)
	if fips.LibraryOnly() {
		t.Skip("there are no kernels in FIPS mode")
	}
	lib := libraryStreams(t, c)
	for _, n := range streamSizes {
		plain := pattern(n)
		sealed := stream(t, c, ids[0], plain, []byte("ctx"), StreamOptions{Segment: small, Workers: 2})
		k := lib(sealed)
		r := newReader(bytes.NewReader(sealed[streamHeaderSize:]), k)
		var out bytes.Buffer
		_, err := r.WriteTo(&out)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, out.Bytes()))

		k = lib(sealed)
		out.Reset()
		out.Write(k.header[:])
		w := &Writer{w: &out, k: k, buf: make([]byte, k.batch()*k.sealedSize()), batch: make([]segment, k.batch())}
		_, err = w.Write(plain)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		got, err := read(c, out.Bytes(), []byte("ctx"))
		require.NoError(t, err)
		require.True(t, bytes.Equal(plain, got))
	}
}

// libraryStreams returns what makes the key of a stream that Go's library works with.
func libraryStreams(t *testing.T, c *Cipher) func(header []byte) *streamKey {
	return func(header []byte) *streamKey {
		k, err := c.oldStream(header, []byte("ctx"), StreamOptions{Workers: 2})
		require.NoError(t, err)
		d := deriver{key: k.lease.Key(), suite: GCM, salt: k.header[saltAt:streamCommitAt]}
		require.NoError(t, d.with("stream", d.key.Len(), func(subkey []byte) error {
			library, err := newGCMLibrary(subkey)
			k.library = library.aead
			return err
		}))
		return k
	}
}
