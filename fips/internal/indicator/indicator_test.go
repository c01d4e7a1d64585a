//go:build fipsindicator

package indicator

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/keyfile"
)

// cbcExample is FORMAT.md's block under aes-cbc with a key of 256 bits, sealed
// outside FIPS mode, with its cipher.
func cbcExample(t *testing.T) (seal.Cipher, []seal.Block) {
	text, err := os.ReadFile("../../../FORMAT.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "```seal-block\nsuite = aes-cbc\nbits = 256\n")
	require.True(t, ok)
	rest, _, _ = strings.Cut("\n"+rest, "```")
	value := func(name string) string {
		_, v, ok := strings.Cut(rest, "\n"+name+" = ")
		require.True(t, ok, name)
		v, _, _ = strings.Cut(v, "\n")
		return v
	}
	raw := func(name string) []byte {
		b, err := hex.DecodeString(value(name))
		require.NoError(t, err, name)
		return b
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(value(name), 10, 64)
		require.NoError(t, err, name)
		return n
	}
	key, err := dek.Import(dek.ID(raw("key id")), raw("dek"))
	require.NoError(t, err)
	defer key.Destroy()
	c, err := seal.New(seal.SuiteCBC, key, seal.Scope{Volume: [16]byte(raw("volume")), Key: key.ID(),
		Domain: seal.Domain(number("domain")), Epoch: uint32(number("epoch")), Salt: [32]byte(raw("salt"))})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	src := raw("ciphertext")
	return c, []seal.Block{{Position: number("position"), Src: src, Dst: make([]byte, len(src)),
		Nonce: [seal.NonceSize]byte(raw("nonce")), Tag: [seal.TagSize]byte(raw("tag"))}}
}

// Everything Coffer does with keys in FIPS mode, it does with services that the
// module itself counts as approved.
func TestOnlyApprovedServices(t *testing.T) {
	require.NoError(t, fips.Require())
	approved := func(what string, f func() error) {
		t.Helper()
		require.True(t, Approved(func() { require.NoError(t, f(), what) }), "%s uses a service that is not approved", what)
	}
	// The indicator works: the bare block is not approved.
	b, err := aes.NewCipher(make([]byte, 16))
	require.NoError(t, err)
	require.False(t, Approved(func() { b.Encrypt(make([]byte, 16), make([]byte, 16)) }))

	approved("self-test", fips.SelfTest)
	var key *dek.Key
	approved("generate and derive", func() (err error) {
		if key, err = dek.Generate(256); err != nil {
			return err
		}
		return key.Derive(make([]byte, 32), []byte("salt of sixteen!"), "info")
	})
	approved("wrap", func() error {
		wrapped, err := dek.Wrap(make([]byte, 32), make([]byte, 32))
		if err != nil {
			return err
		}
		mem, err := dek.Unwrap(make([]byte, 32), wrapped)
		if err == nil {
			mem.Release()
		}
		return err
	})
	path := filepath.Join(t.TempDir(), "keys")
	cred := keyfile.Credentials{Admin: "anna", Password: []byte("pw")} // short, as PBKDF2 may take it
	approved("key file", func() error {
		f, err := keyfile.Create(path, keyfile.CreateOptions{Admin: cred})
		if err != nil {
			return err
		}
		if _, err := f.AddKey(128, "another"); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		_, err = keyfile.Verify(path, cred, nil)
		return err
	})
	sealing(t, approved, key)
	elements(t, approved, key)
}

func elements(t *testing.T, approved func(string, func() error), key *dek.Key) {
	ring := dek.NewKeyring()
	require.NoError(t, ring.Activate(key, dek.Element, dek.Active))
	c, err := element.NewWithOptions(ring, element.Options{AllowUnauthenticated: true})
	require.NoError(t, err)
	defer c.Close()
	for _, suite := range []element.Suite{element.GCM, element.CBC, element.CBCUnauthenticated} {
		approved("element "+suite.String(), func() error {
			ct, err := c.EncryptWith(suite, []byte("a value"), key.ID(), nil)
			if err == nil {
				_, err = c.Decrypt(ct, nil)
			}
			return err
		})
	}
	approved("stream", func() error {
		var sealed bytes.Buffer
		w, err := element.NewWriter(&sealed, c, key.ID(), nil)
		if err != nil {
			return err
		}
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		r, err := element.NewReader(&sealed, c, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return err
	})
	approved("blind index", func() error {
		_, err := c.Index(key.ID(), nil, []byte("a value"), 64)
		return err
	})
}

func sealing(t *testing.T, approved func(string, func() error), key *dek.Key) {
	sc := seal.Scope{Key: key.ID(), Domain: seal.DomainVolume, Salt: [32]byte{1}}
	for _, suite := range []seal.Suite{seal.SuiteGCM, seal.SuiteNone} {
		k, scope := key, sc
		if suite == seal.SuiteNone {
			k, scope = nil, seal.Scope{Domain: seal.DomainVolume}
		}
		approved(suite.String(), func() error {
			c, err := seal.New(suite, k, scope)
			if err != nil {
				return err
			}
			defer c.Close()
			batch := []seal.Block{{Src: make([]byte, 4096), Dst: make([]byte, 4096)}, {Position: 1, Src: make([]byte, 512), Dst: make([]byte, 512)}}
			if err := c.Seal(batch); err != nil {
				return err
			}
			for i := range batch {
				batch[i].Src, batch[i].Dst = batch[i].Dst, batch[i].Src
			}
			return c.Open(batch)
		})
	}
	c, batch := cbcExample(t)
	approved("open aes-cbc", func() error { return c.Open(batch) })
	approved("frames and labels", func() error {
		f, err := seal.NewFrame(key, [16]byte{}, [16]byte{})
		if err != nil {
			return err
		}
		out, nonce, tag, err := f.Seal(nil, []byte("a frame"), []byte("ad"))
		if err != nil {
			return err
		}
		if _, err := f.Open(nil, out, []byte("ad"), nonce, tag); err != nil {
			return err
		}
		f.Chain([]byte("part"))
		_, err = seal.LabelMAC(key, [16]byte{}, []byte("label"))
		return err
	})
}
