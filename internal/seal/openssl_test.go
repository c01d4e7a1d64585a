package seal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// openssl runs OpenSSL's command line, an implementation that shares no code
// with ours, and returns what it writes.
type openssl struct {
	t    *testing.T
	path string
}

func newOpenSSL(t *testing.T) *openssl {
	t.Helper()
	o := &openssl{t, needTool(t, "openssl", "apt-get install openssl (3.0 or newer)")}
	out, err := exec.Command(o.path, "version").Output()
	require.NoError(t, err)
	fields := append(strings.Fields(string(out)), "", "")
	major, _, _ := strings.Cut(fields[1], ".")
	if n, err := strconv.Atoi(major); fields[0] != "OpenSSL" || err != nil || n < 3 {
		missing(t, "OpenSSL 3.0", "apt-get install openssl; here is "+string(out))
	}
	return o
}

func (o *openssl) run(in []byte, args ...string) []byte {
	o.t.Helper()
	cmd := exec.Command(o.path, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	require.NoError(o.t, err, args[0])
	return out
}

// enc encrypts in with AES in a mode; iv may be nil.
func (o *openssl) enc(mode string, key, iv, in []byte) []byte {
	o.t.Helper()
	args := []string{"enc", fmt.Sprintf("-aes-%d-%s", len(key)*8, mode), "-nopad", "-K", hex.EncodeToString(key)}
	if iv != nil {
		args = append(args, "-iv", hex.EncodeToString(iv))
	}
	return o.run(in, args...)
}

func (o *openssl) hexLine(out []byte) []byte {
	o.t.Helper()
	return unhex(o.t, strings.ReplaceAll(strings.TrimSpace(string(out)), ":", ""))
}

func (o *openssl) gmac(key, nonce, in []byte) []byte {
	o.t.Helper()
	return o.hexLine(o.run(in, "mac", "-macopt", fmt.Sprintf("cipher:AES-%d-GCM", len(key)*8),
		"-macopt", "hexkey:"+hex.EncodeToString(key), "-macopt", "hexiv:"+hex.EncodeToString(nonce), "-in", "-", "GMAC"))
}

func (o *openssl) hmac(key, in []byte) []byte {
	o.t.Helper()
	return o.hexLine(o.run(in, "mac", "-macopt", "digest:SHA256", "-macopt", "hexkey:"+hex.EncodeToString(key), "-in", "-", "HMAC"))
}

func (o *openssl) sha256(in []byte) []byte {
	o.t.Helper()
	return o.run(in, "dgst", "-sha256", "-binary")
}

func (o *openssl) hkdf(key, salt []byte, info string, n int) []byte {
	o.t.Helper()
	return o.hexLine(o.run(nil, "kdf", "-keylen", strconv.Itoa(n), "-kdfopt", "digest:SHA256",
		"-kdfopt", "hexkey:"+hex.EncodeToString(key), "-kdfopt", "hexsalt:"+hex.EncodeToString(salt),
		"-kdfopt", "hexinfo:"+hex.EncodeToString([]byte(info)), "HKDF"))
}

// xts builds XTS encryption from ECB: OpenSSL's command line has no XTS.
func (o *openssl) xts(data, tweak []byte, position uint64, in []byte) []byte {
	o.t.Helper()
	first := make([]byte, 16)
	binary.LittleEndian.PutUint64(first, position)
	t := o.enc("ecb", tweak, nil, first)
	mask := make([]byte, 0, len(in))
	for range len(in) / 16 {
		mask = append(mask, t...)
		carry := byte(0) // IEEE 1619's reference: byte by byte
		for i := range t {
			t[i], carry = t[i]<<1|carry, t[i]>>7
		}
		if carry != 0 {
			t[0] ^= 0x87
		}
	}
	return xor(o.enc("ecb", data, nil, xor(in, mask)), mask)
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// The whole way from DEK to record, rebuilt from the format's formulas with OpenSSL.
// GCM's tag is left to the published vectors: the command line has no AEAD.
func TestOpenSSLBlocks(t *testing.T) {
	o := newOpenSSL(t)
	for _, v := range variants() {
		t.Run(v.String(), func(t *testing.T) {
			o := &openssl{t, o.path}
			sc := testScope(v)
			c := newCipher(t, v, sc)
			batch, plain := plainBatch(2, 4096, false)
			require.NoError(t, c.Seal(batch))
			subkey := func(purpose string) []byte {
				return o.hkdf(random(1, v.bits/8), sc.Salt[:], sc.info(purpose, v.suite, v.bits/8), v.bits/8)
			}
			for i, b := range batch {
				ad := sc.additional(v.suite, v.bits/8)
				putPosition(&ad, b.Position)
				whole := append(ad[:], b.Dst...)
				want, tag := plain[i], []byte(nil)
				switch v.suite {
				case SuiteGCM:
					want = o.enc("ctr", subkey("gcm"), append(bytes.Clone(b.Nonce[:]), 0, 0, 0, 2), plain[i])
					tag = b.Tag[:]
				case SuiteCBC:
					iv := o.enc("ecb", subkey("cbc iv"), nil, append(bytes.Clone(b.Nonce[:]), 0, 0, 0, 0))
					want = o.enc("cbc", subkey("cbc data"), iv, plain[i])
					tag = o.gmac(subkey("cbc mac"), b.Nonce[:], whole)
				case SuiteXTS:
					want = o.xts(subkey("xts data"), subkey("xts tweak"), b.Position, plain[i])
					tag = o.gmac(subkey("xts mac"), b.Nonce[:], whole)
				case SuiteNone:
					tag = o.sha256(whole)[:TagSize]
				}
				require.True(t, bytes.Equal(want, b.Dst), "ciphertext")
				require.Equal(t, tag, b.Tag[:])
			}
		})
	}
}

func TestOpenSSLFrames(t *testing.T) {
	o := newOpenSSL(t)
	for _, bits := range []int{128, 192, 256} {
		c := newTestFrame(t, bits)
		plain := random(9, 5001)
		out, nonce, _, err := c.Seal(nil, plain, nil)
		require.NoError(t, err)
		sc := Scope{Volume: testVolume, Domain: DomainJournal}
		subkey := func(purpose string, n int) []byte {
			return o.hkdf(random(1, bits/8), testSegment[:], sc.info(purpose, SuiteGCM, bits/8), n)
		}
		require.True(t, bytes.Equal(o.enc("ctr", subkey("frame", bits/8), append(nonce[:], 0, 0, 0, 2), plain), out))
		chain := c.Chain([]byte("abc"))
		require.Equal(t, o.hmac(subkey("frame chain", 32), []byte("\x03\x00\x00\x00\x00\x00\x00\x00abc")), chain[:])
		mac, err := LabelMAC(testKey(t, testKeyID, 1, bits), testVolume, plain)
		require.NoError(t, err)
		require.Equal(t, o.hmac(o.hkdf(random(1, bits/8), testVolume[:], "coffer/1 label mac", 32), plain), mac[:])
	}
}
