package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/seal"
)

// Offsets in a label, FORMAT.md "Label".
const (
	labelBytes  = 8192
	labelStride = 64 << 10
	labelWrite  = 176
	labelMAC    = 177
	labelOp     = 178 // and the slots it leads from and to
	labelSlots  = 256
	slotLength  = 512
	labelSum    = 8128
	labelCRC    = 8188
)

// forge alters both copies of a label as somebody without a key can: whatever
// needs no key is recomputed.
func (d *desk) forge(name string, alter func(label []byte)) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	require.NoError(d.t, err)
	for _, off := range []int{0, labelStride} {
		l := b[off:][:labelBytes]
		alter(l)
		sum, err := seal.LabelMAC(nil, [16]byte(l[16:32]), l[:labelSum])
		require.NoError(d.t, err)
		copy(l[labelSum:], sum[:])
		binary.LittleEndian.PutUint32(l[labelCRC:], crc32.Checksum(l[:labelCRC], crc32.MakeTable(crc32.Castagnoli)))
	}
	require.NoError(d.t, os.WriteFile(d.path(name), b, 0o600))
}

// keyedSlot makes a slot claim to be under a key.
func keyedSlot(slot []byte, key []byte) {
	slot[1], slot[2] = byte(blockstore.AESGCM), 32
	copy(slot[8:24], key)
}

// TestForgedLabels: nobody without a key makes a volume that any verb takes for
// one that is encrypted, or that it decrypts.
func TestForgedLabels(t *testing.T) {
	slot := func(l []byte, n int) []byte { return l[labelSlots+n*slotLength:][:slotLength] }
	d := newDesk(t, "256")
	d.ok("encrypt", bigName(d, 50_000))
	victim, err := os.ReadFile(d.path("a.db"))
	require.NoError(t, err)
	key := slot(victim, 0)[8:24]
	for _, c := range []struct {
		name  string
		alter func(l []byte)
	}{
		{"suite none", func([]byte) {}},
		{"a decryption from none to none", func(l []byte) {
			copy(slot(l, 1), slot(l, 0))
			l[labelOp], l[labelOp+1], l[labelOp+2] = 2, 0, 1
		}},
		{"a decryption from a key, summed without it", func(l []byte) {
			copy(slot(l, 1), slot(l, 0))
			keyedSlot(slot(l, 1), key)
			l[labelOp], l[labelOp+1], l[labelOp+2] = 2, 1, 0
		}},
		{"the same, and it says which key sums it", func(l []byte) {
			copy(l[16:32], victim[16:32]) // the check value is of key and volume
			copy(slot(l, 1), slot(victim, 0))
			l[labelOp], l[labelOp+1], l[labelOp+2], l[labelMAC] = 2, 1, 0, 1
		}},
		{"a write slot under a key", func(l []byte) {
			copy(slot(l, 1), slot(l, 0))
			keyedSlot(slot(l, 1), key)
			l[labelWrite] = 1
		}},
		{"a re-key from none", func(l []byte) {
			copy(slot(l, 1), slot(l, 0))
			l[labelOp], l[labelOp+1], l[labelOp+2], l[labelWrite], l[labelMAC] = 3, 0, 1, 1, 1
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_ = os.Remove(d.path("f"))
			d.ok("create", "f", "--size", "50000", "--cipher", "none")
			d.forge("f", c.alter)
			before := d.files("f")
			for _, args := range [][]string{
				{"cat", "f"}, {"verify", "f"}, {"anchor", "f"}, {"resize", "f", "--size", "1M"}, {"put", "f", "--offset", "0"},
				{"journal", "switch", "f"}, {"journal", "set-key", "f", d.key}, {"rekey", "f", "--new-key"}, {"rekey", "f", "--to-key", d.key},
				{"decrypt", "f"}, {"decrypt", "f", "--to-volume"}, {"cat", "f", "--cipher", "aes-gcm"}, {"decrypt", "f", "--cipher", "aes-gcm"},
				{"decrypt", "f", "--to-volume", "--cipher", "aes-gcm"},
			} {
				out, errs, code := d.run(args...)
				require.Contains(t, []int{exitDamaged, exitState}, code, "%v: %s%s", args, out, errs)
				require.Empty(t, out, "%v", args)
				require.Equal(t, before, d.files("f"), "%v", args)
			}
			require.NoFileExists(t, d.path("f.coffer-new"))
			require.NoFileExists(t, d.path("f.coffer-job"))
		})
	}
	require.Equal(t, 1, countKeys(d), "no re-key made a key")
}

// TestDeleteKeyGoesByProof: a label that anybody can write does not make a key
// look unneeded; where its keys are not at hand, it is said that nothing is proved.
func TestDeleteKeyGoesByProof(t *testing.T) {
	d := newDesk(t, "256")
	d.ok("encrypt", bigName(d, 50_000))
	other := strings.TrimSpace(d.ok("keyfile", "add-key", "keys"))
	d.ok("keyfile", "set-default", "keys", other)
	d.ok("keyfile", "set-journal", "keys", other)
	id, err := dek.ParseID(other)
	require.NoError(t, err)
	d.forge("a.db", func(l []byte) {
		copy(l[labelSlots+8:], id[:])
		copy(l[192:208], id[:]) // the journal's
		copy(l[4352:4368], id[:])
	})
	before := d.files("keys")
	_, errs, code := d.run("keyfile", "delete-key", "keys", d.key, "--volume", "a.db", "--yes")
	require.Contains(t, []int{exitDamaged, exitKey}, code, errs)
	require.Contains(t, errs, "cannot be told")
	require.Equal(t, before, d.files("keys"))

	d.ok("keyfile", "create", "strangers", "--iterations", "65536")
	d.ok("create", "theirs", "--size", "64K", "--keyfile", "strangers")
	_, errs, code = d.run("keyfile", "delete-key", "keys", d.key, "--volume", "theirs", "--yes")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "not proved")
}

// bigName writes a.db and returns its name.
func bigName(d *desk, n int) string {
	bigFile(d, n)
	return "a.db"
}

// TestSuiteOfAHalfDecryptedVolume: what a label says of itself allows nothing.
func TestSuiteOfAHalfDecryptedVolume(t *testing.T) {
	half := func(from string) *blockstore.Info {
		return &blockstore.Info{Suite: "none", Conversion: &blockstore.ConversionInfo{Operation: "decrypt", FromSuite: from, ToSuite: "none"}}
	}
	for _, c := range []struct {
		cipher string
		info   *blockstore.Info
		ok     bool
	}{
		{"", half("aes-gcm"), true},
		{"aes-gcm", half("aes-gcm"), true},
		{"aes-xts", half("aes-gcm"), false},
		{"none", half("aes-gcm"), false},
		{"", half("none"), false},
		{"aes-gcm", half("none"), false},
		{"", &blockstore.Info{Suite: "none"}, false},
		{"none", &blockstore.Info{Suite: "none"}, true},
		{"none", &blockstore.Info{Suite: "aes-gcm", Encrypted: true}, false},
	} {
		for _, makesPlain := range []bool{false, true} {
			v := volumeFlags{cipher: c.cipher, makesPlain: makesPlain}
			err := v.accepts("v", c.info)
			require.Equal(t, c.ok, err == nil, "%q %+v: %v", c.cipher, c.info.Conversion, err)
			o, err := v.options()
			require.NoError(t, err)
			require.Equal(t, makesPlain || c.cipher == "none", o.AllowPlain)
		}
	}
}
