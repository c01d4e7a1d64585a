package seal

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// A cavpCase is one case of a NIST response file: the fields of the case, with
// the name of its section ("ENCRYPT", …) under "". A case with a FAIL line has "FAIL".
type cavpCase map[string]string

// readCAVP reads a response file: sections in brackets, cases divided by empty lines.
func readCAVP(t *testing.T, file string) (cases []cavpCase) {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	require.NoError(t, err)
	defer f.Close()
	section, current := "", cavpCase{}
	flush := func() {
		if len(current) > 0 {
			current[""] = section
			cases = append(cases, current)
			current = cavpCase{}
		}
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		name, value, pair := strings.Cut(line, "=")
		switch {
		case line == "":
			flush()
		case line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case pair:
			current[strings.TrimSpace(name)] = strings.TrimSpace(value)
		default:
			current[line] = "yes"
		}
	}
	flush()
	require.NoError(t, lines.Err())
	return cases
}

// runCAVP runs check on each case of each file and wants that many cases in all.
func runCAVP(t *testing.T, want int, files []string, check func(t *testing.T, c cavpCase, get func(string) []byte)) {
	t.Helper()
	n := 0
	for _, file := range files {
		for _, c := range readCAVP(t, file) {
			n++
			check(t, c, func(name string) []byte {
				t.Helper()
				require.Contains(t, c, name, file)
				return unhex(t, c[name])
			})
		}
	}
	t.Logf("%d cases run", n)
	require.Equal(t, want, n, "number of cases")
}

func TestCAVPGCM(t *testing.T) {
	refused := 0
	runCAVP(t, 375, []string{
		"gcm_encrypt_128.rsp", "gcm_encrypt_192.rsp", "gcm_encrypt_256.rsp",
		"gcm_decrypt_128.rsp", "gcm_decrypt_192.rsp", "gcm_decrypt_256.rsp",
	}, func(t *testing.T, c cavpCase, get func(string) []byte) {
		g, err := NewRawGCM(get("Key"))
		require.NoError(t, err)
		plain, ok := g.Open(get("IV"), get("CT"), get("Tag"), get("AAD"))
		if c["FAIL"] != "" {
			refused++
			require.False(t, ok)
			return
		}
		require.True(t, ok)
		require.Equal(t, get("PT"), plain)
		ct, tag := g.Seal(get("IV"), plain, get("AAD"))
		require.Equal(t, get("CT"), ct)
		require.Equal(t, get("Tag"), tag)
	})
	require.Equal(t, 105, refused)
}

// GMAC is GCM without plaintext.
func TestCAVPGMAC(t *testing.T) {
	n := 0
	for _, file := range []string{"gcm_decrypt_128.rsp", "gcm_decrypt_192.rsp", "gcm_decrypt_256.rsp"} {
		for _, c := range readCAVP(t, file) {
			if c["CT"] != "" {
				continue
			}
			n++
			m, err := NewRawGMAC(unhex(t, c["Key"]))
			require.NoError(t, err)
			iv, aad, tag := unhex(t, c["IV"]), unhex(t, c["AAD"]), unhex(t, c["Tag"])
			require.Equal(t, c["FAIL"] == "", m.Verify(tag, iv, aad))
			if c["FAIL"] == "" {
				got := make([]byte, TagSize)
				m.Sum(got, iv, aad)
				require.Equal(t, tag, got)
			}
		}
	}
	t.Logf("%d cases run", n)
	require.Equal(t, 45, n)
}

func TestCAVPCBC(t *testing.T) {
	runCAVP(t, 144, []string{
		"cbc_mmt_128.rsp", "cbc_mmt_192.rsp", "cbc_mmt_256.rsp",
		"cbc_gfsbox_128.rsp", "cbc_gfsbox_192.rsp", "cbc_gfsbox_256.rsp",
		"cbc_keysbox_128.rsp", "cbc_keysbox_192.rsp", "cbc_keysbox_256.rsp",
	}, func(t *testing.T, c cavpCase, get func(string) []byte) {
		cbc, err := NewRawCBC(get("KEY"))
		require.NoError(t, err)
		plain, ct := get("PLAINTEXT"), get("CIPHERTEXT")
		out := make([]byte, len(ct))
		if c[""] == "ENCRYPT" {
			cbc.Encrypt(out, plain, get("IV"))
			require.Equal(t, ct, out)
		} else {
			cbc.Decrypt(out, ct, get("IV"))
			require.Equal(t, plain, out)
		}
	})
}

func TestCAVPXTS(t *testing.T) {
	runCAVP(t, 160, []string{"xts_128.rsp", "xts_256.rsp"}, func(t *testing.T, c cavpCase, get func(string) []byte) {
		key := get("Key")
		x, err := NewRawXTS(key[:len(key)/2], key[len(key)/2:])
		require.NoError(t, err)
		plain, ct := get("PT"), get("CT")
		out := make([]byte, len(ct))
		if c[""] == "ENCRYPT" {
			x.Encrypt(out, plain, [16]byte(get("i")))
			require.Equal(t, ct, out)
		} else {
			x.Decrypt(out, ct, [16]byte(get("i")))
			require.Equal(t, plain, out)
		}
	})
}

func TestCAVPKeyWrap(t *testing.T) {
	refused := 0
	runCAVP(t, 180, []string{
		"kw_ae_128.txt", "kw_ae_192.txt", "kw_ae_256.txt", "kw_ad_128.txt", "kw_ad_192.txt", "kw_ad_256.txt",
	}, func(t *testing.T, c cavpCase, get func(string) []byte) {
		plain, err := dek.Unwrap(get("K"), get("C"))
		if c["FAIL"] != "" {
			refused++
			require.ErrorIs(t, err, fault.WrongKey)
			return
		}
		require.NoError(t, err)
		defer plain.Release()
		require.Equal(t, get("P"), plain.Bytes())
		wrapped, err := dek.Wrap(get("K"), plain.Bytes())
		require.NoError(t, err)
		require.Equal(t, get("C"), wrapped)
	})
	require.Equal(t, 18, refused)
}
