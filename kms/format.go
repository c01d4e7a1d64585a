package kms

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Bounds of the format, checked before anything is allocated.
const (
	MaxDescription = 1024      // bytes in a description
	MaxText        = 2048      // bytes in any other text
	MaxEnv         = 16        // environment entries
	MaxWrapped     = 6144      // bytes of the wrapped key: AWS's limit on a ciphertext
	MaxFileSize    = 64 * 1024 // bytes in a file
	maxProvider    = 32        // bytes in a provider's name
)

// Layout. FORMAT.md has it in tables.
const (
	magic         = "COFFERKM"
	formatVersion = 1
	headerSize    = 80
	textFields    = 7
	checkSize     = 16
	macSize       = sha256.Size
	crcSize       = 4
	trailerSize   = macSize + crcSize
	minFileSize   = headerSize + textFields*2 + 2 + 1 + trailerSize
	largestFile   = headerSize + 2 + maxProvider + 2 + MaxDescription + 5*(2+MaxText) + MaxEnv*(2+MaxText) + MaxWrapped + trailerSize
	_             = uint(MaxFileSize - largestFile) // compile-time: a full file fits the bound
	maxCreated    = 253_402_300_799                 // 9999-12-31T23:59:59Z: what a date can be printed for
)

// macInfo is the HKDF info string of the key of the MAC.
const macInfo = "coffer/1 kms keyfile mac"

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// content is what a KMS key file says.
type content struct {
	generation  uint64
	id          dek.ID
	created     uint64 // Unix seconds, of the key
	rewrapped   uint64 // Unix seconds, of the wrapping
	bits        uint16
	check       [checkSize]byte
	place       Place
	description string
	wrapped     Wrapped
}

// texts are the text fields in the order in which they stand in the file, with their bounds.
func (c *content) texts() [textFields]struct {
	name string
	at   *string
	most int
} {
	return [...]struct {
		name string
		at   *string
		most int
	}{
		{"provider", &c.place.Provider, maxProvider},
		{"server key", &c.place.ServerKey, MaxText},
		{"wrapped by", &c.wrapped.By, MaxText},
		{"region", &c.place.Region, MaxText},
		{"endpoint", &c.place.Endpoint, MaxText},
		{"algorithm", &c.wrapped.Algorithm, MaxText},
		{"description", &c.description, MaxDescription},
	}
}

// marshal returns everything before the MAC.
func (c *content) marshal() []byte {
	b := make([]byte, 0, 1024)
	b = append(b, magic...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint32(b, 0) // length, below
	b = le.AppendUint64(b, c.generation)
	b = append(b, c.id[:]...)
	b = le.AppendUint64(b, c.created)
	b = le.AppendUint64(b, c.rewrapped)
	b = le.AppendUint16(b, c.bits)
	b = le.AppendUint16(b, uint16(len(c.place.Env)))
	b = le.AppendUint16(b, uint16(len(c.wrapped.Blob)))
	b = append(b, 0, 0)
	b = append(b, c.check[:]...)
	for _, t := range c.texts() {
		b = appendText(b, *t.at)
	}
	for _, name := range slices.Sorted(maps.Keys(c.place.Env)) {
		b = appendText(b, name+"="+c.place.Env[name])
	}
	b = append(b, c.wrapped.Blob...)
	le.PutUint32(b[12:], uint32(len(b)+trailerSize))
	return b
}

func appendText(b []byte, s string) []byte {
	return append(le.AppendUint16(b, uint16(len(s))), s...)
}

// seal returns the file: body, MAC under a subkey of the key, checksum.
func (c *content) seal(k *dek.Key) ([]byte, error) {
	c.check = k.CheckValue(c.id[:])
	body := c.marshal()
	mac, err := fileMAC(k, c.id, body)
	if err != nil {
		return nil, err
	}
	return appendCRC(append(body, mac[:]...)), nil
}

// fileMAC is HMAC-SHA256 over body under HKDF(DEK, salt = key ID, macInfo).
func fileMAC(k *dek.Key, id dek.ID, body []byte) ([macSize]byte, error) {
	var key, mac [macSize]byte
	defer secmem.Wipe(key[:])
	if err := k.Derive(key[:], id[:], macInfo); err != nil {
		return mac, err
	}
	h := hmac.New(sha256.New, key[:])
	h.Write(body)
	h.Sum(mac[:0])
	return mac, nil
}

func appendCRC(data []byte) []byte {
	return le.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

// checkText refuses what is too long, or what a terminal would not just print.
func checkText(what, s string, most int) error {
	switch {
	case len(s) > most:
		return usage("%s has at most %d bytes", what, most)
	case !utf8.ValidString(s) || slices.ContainsFunc([]rune(s), notPrinted):
		return usage("%s is printable UTF-8 text", what)
	}
	return nil
}

// notPrinted is true of characters that move the cursor or turn the direction
// of writing, so that a text could show as something it is not.
func notPrinted(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// checkFields holds what is about to be written to the bounds of the format.
func (c *content) checkFields() error {
	for _, t := range c.texts() {
		if err := checkText("the "+t.name, *t.at, t.most); err != nil {
			return err
		}
	}
	if len(c.place.Env) > MaxEnv {
		return usage("at most %d environment entries fit", MaxEnv)
	}
	for name, value := range c.place.Env {
		if !isEnvName(name) {
			return usage("%q is no name of an environment variable", clean(name, 80))
		}
		if err := checkText(name, name+"="+value, MaxText); err != nil {
			return err
		}
	}
	return nil
}

// isProvider wants lower-case letters, digits and hyphens.
func isProvider(s string) bool {
	return s != "" && !slices.ContainsFunc([]byte(s), func(b byte) bool {
		return (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-'
	})
}

func isEnvName(s string) bool {
	return s != "" && !slices.ContainsFunc([]byte(s), func(b byte) bool {
		return (b < 'A' || b > 'Z') && (b < '0' || b > '9') && b != '_'
	})
}
