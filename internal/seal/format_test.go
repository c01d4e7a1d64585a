package seal

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
)

// An example is a worked example of the format document: its "name = value" lines.
type example map[string]string

func (e example) hex(t *testing.T, name string) []byte {
	t.Helper()
	require.Contains(t, e, name)
	return unhex(t, e[name])
}

func (e example) number(t *testing.T, name string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(e[name], 10, 64)
	require.NoError(t, err)
	return n
}

// key returns the example's DEK, or nil.
func (e example) key(t *testing.T) *dek.Key {
	t.Helper()
	if e["bits"] == "0" {
		return nil
	}
	k, err := dek.Import(dek.ID(e.hex(t, "key id")), e.hex(t, "dek"))
	require.NoError(t, err)
	t.Cleanup(k.Destroy)
	return k
}

// readExamples returns the fenced examples of a kind from FORMAT.md.
func readExamples(t *testing.T, kind string) (all []example) {
	t.Helper()
	text, err := os.ReadFile("../../FORMAT.md")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?s)```"+kind+"\n(.*?)\n```").FindAllSubmatch(text, -1) {
		e := example{}
		for line := range strings.SplitSeq(string(m[1]), "\n") {
			name, value, ok := strings.Cut(line, " = ")
			require.True(t, ok, line)
			require.NotContains(t, e, name)
			e[name] = value
		}
		all = append(all, e)
	}
	return all
}

// purposes lists the subkeys of each suite.
var purposes = map[Suite][]string{
	SuiteGCM: {"gcm"}, SuiteCBC: {"cbc data", "cbc iv", "cbc mac"}, SuiteXTS: {"xts data", "xts tweak", "xts mac"},
}

func exampleScope(t *testing.T, e example, key *dek.Key) Scope {
	sc := Scope{
		Volume: [16]byte(e.hex(t, "volume")), Domain: Domain(e.number(t, "domain")), Epoch: uint32(e.number(t, "epoch")),
	}
	if key != nil {
		sc.Key, sc.Salt = key.ID(), [32]byte(e.hex(t, "salt"))
	}
	return sc
}

func TestFormatBlocks(t *testing.T) {
	examples := readExamples(t, "seal-block")
	require.Len(t, examples, 7)
	for _, e := range examples {
		t.Run(e["suite"]+"-"+e["bits"], func(t *testing.T) {
			suite, err := ParseSuite(e["suite"])
			require.NoError(t, err)
			key := e.key(t)
			sc := exampleScope(t, e, key)
			keyLen := int(e.number(t, "bits")) / 8
			for i, p := range purposes[suite] {
				info := sc.info(p, suite, keyLen)
				if i == 0 {
					require.Equal(t, e["purpose"], p)
					require.Equal(t, e["info"], hex.EncodeToString([]byte(info)))
				}
				sub := make([]byte, keyLen)
				require.NoError(t, key.Derive(sub, sc.Salt[:], info))
				require.Equal(t, e["subkey "+p], hex.EncodeToString(sub), p)
			}
			ad := sc.additional(suite, keyLen)
			putPosition(&ad, e.number(t, "position"))
			require.Equal(t, e["ad"], hex.EncodeToString(ad[:]))
			goldenBlock(t, e, suite, key, sc)
		})
	}
}

func goldenBlock(t *testing.T, e example, suite Suite, key *dek.Key, sc Scope) {
	c, err := New(suite, key, sc)
	if suite.Allowed(false) != nil { // aes-xts in FIPS mode
		require.ErrorIs(t, err, fault.Unsupported)
		return
	}
	require.NoError(t, err)
	defer c.Close()
	plain, nonce := e.hex(t, "plaintext"), e.hex(t, "nonce")
	batch := []Block{{Position: e.number(t, "position"), Src: plain, Dst: make([]byte, len(plain))}}
	if suite.Allowed(true) != nil { // aes-cbc in FIPS mode only opens
		require.ErrorIs(t, c.Seal(batch), fault.Unsupported)
		require.ErrorIs(t, batch[0].Err, fault.Unsupported)
		require.Equal(t, make([]byte, len(plain)), batch[0].Dst)
	} else if suite != SuiteGCM || !fips.LibraryOnly() { // in FIPS mode nobody can fix GCM's nonce
		c.(*sealer).entropy = func(b []byte) { require.Equal(t, len(nonce), copy(b, nonce)) }
		require.NoError(t, c.Seal(batch))
		require.Equal(t, e["nonce"], hex.EncodeToString(batch[0].Nonce[:]))
		require.Equal(t, e["ciphertext"], hex.EncodeToString(batch[0].Dst))
		require.Equal(t, e["tag"], hex.EncodeToString(batch[0].Tag[:]))
		require.Equal(t, e["crc"], fmt.Sprintf("%08x", batch[0].CRC))
	}
	batch[0].Nonce, batch[0].Tag = [NonceSize]byte(nonce), [TagSize]byte(e.hex(t, "tag"))
	batch[0].Src, batch[0].Dst = e.hex(t, "ciphertext"), make([]byte, len(plain))
	require.NoError(t, c.Open(batch))
	require.Equal(t, plain, batch[0].Dst)
}

func TestFormatFrames(t *testing.T) {
	examples := readExamples(t, "seal-frame")
	require.Len(t, examples, 2)
	for _, e := range examples {
		t.Run(e["bits"], func(t *testing.T) {
			key, volume := e.key(t), [16]byte(e.hex(t, "volume"))
			c, err := NewFrame(key, volume, [16]byte(e.hex(t, "segment")))
			require.NoError(t, err)
			defer c.Close()
			goldenFrame(t, e, c.(*frameCipher))
			chain := c.Chain(e.hex(t, "part 1"), e.hex(t, "part 2"))
			require.Equal(t, e["chain"], hex.EncodeToString(chain[:]))
			mac, err := LabelMAC(key, volume, e.hex(t, "label"))
			require.NoError(t, err)
			require.Equal(t, e["label mac"], hex.EncodeToString(mac[:]))
		})
	}
}

func goldenFrame(t *testing.T, e example, c *frameCipher) {
	a, plain, nonce := e.hex(t, "a"), e.hex(t, "plaintext"), e.hex(t, "nonce")
	s := c.begin(a)
	require.Equal(t, e["f"], hex.EncodeToString(s.frame))
	c.end(s)
	if !c.Encrypted() || !fips.LibraryOnly() {
		c.entropy = func(b []byte) { copy(b, nonce) }
		out, gotNonce, tag, err := c.Seal(nil, plain, a)
		require.NoError(t, err)
		require.Equal(t, e["nonce"], hex.EncodeToString(gotNonce[:]))
		require.Equal(t, e["ciphertext"], hex.EncodeToString(out))
		require.Equal(t, e["tag"], hex.EncodeToString(tag[:]))
	}
	back, err := c.Open(nil, e.hex(t, "ciphertext"), a, [NonceSize]byte(nonce), [TagSize]byte(e.hex(t, "tag")))
	require.NoError(t, err)
	require.Equal(t, plain, back)
}
