package main

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// flip turns over the byte at off.
func (d *desk) flip(name string, off int64) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	require.NoError(d.t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	require.NoError(d.t, err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, off)
	require.NoError(d.t, err)
}

// damageBlock finds a block of a volume, by what verify says, and damages it.
func (d *desk) damageBlock(name string, block uint64) {
	d.t.Helper()
	bs := int64(d.info(name).BlockSize)
	// FORMAT.md "Positions": groups of blocks, each behind its pairs of metadata blocks.
	for off := 128<<10 + int64(block)*bs; ; off += 16 << 10 {
		d.flip(name, off+100)
		out, _, code := d.run("verify", name, "--cipher", d.info(name).Suite)
		if code == exitDamaged && regexp.MustCompile(`(?m)^damaged: block 1000: `).MatchString(out) {
			return
		}
		d.flip(name, off+100)
		require.Less(d.t, off, int64(128<<10)+int64(block+100)*bs, "block %d is somewhere", block)
	}
}

// TestCatUpToTheDamage: everything before the block is written, and the hint
// says where to go on.
func TestCatUpToTheDamage(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 10<<20)
	d.ok("encrypt", "a.db")
	bs := int64(d.info("a.db").BlockSize)
	d.damageBlock("a.db", 1000)
	at := 1000 * bs
	require.NotZero(t, at%contentChunk, "inside what is read at once")

	out, errs, code := d.run("cat", "a.db")
	require.Equal(t, exitDamaged, code)
	require.True(t, out == string(content[:at]), "%d bytes", len(out))
	require.Contains(t, errs, fmt.Sprintf("block 1000, at offset %d, ", at))
	require.Contains(t, errs, fmt.Sprintf("--offset %d.", at+bs))
	require.True(t, d.ok("cat", "a.db", "--offset", fmt.Sprint(at+bs)) == string(content[at+bs:]))

	out, errs, code = d.run("cat", "a.db", "--offset", fmt.Sprint(at-1000), "--length", fmt.Sprint(bs+3000))
	require.Equal(t, exitDamaged, code)
	require.True(t, out == string(content[at-1000:at]))
	require.Contains(t, errs, fmt.Sprintf("--offset %d --length 2000.", at+bs))

	out, errs, code = d.run("cat", "a.db", "--offset", fmt.Sprint(at+5), "--length", "10")
	require.Equal(t, exitDamaged, code)
	require.Empty(t, out)
	require.Contains(t, errs, fmt.Sprintf("block 1000, at offset %d, ", at))
	require.Contains(t, errs, "Nothing of what was asked for can be read behind it")
}

// TestDamagedTagBlock: all blocks of its group are named, by every verb.
func TestDamagedTagBlock(t *testing.T) {
	d := newDesk(t, "256")
	bigFile(d, 4<<20)
	d.ok("encrypt", "a.db")
	tag := regexp.MustCompile(`(?m)^damaged: blocks 0-167 cannot be read: tag block: `)
	found := false
	for off := int64(128 << 10); !found && off < 512<<10; off += 8 << 10 {
		d.flip("a.db", off+100)
		out, _, _ := d.run("verify", "a.db")
		if found = tag.MatchString(out); !found {
			d.flip("a.db", off+100)
		}
	}
	require.True(t, found)
	out, _, code := d.run("verify", "a.db")
	require.Equal(t, exitDamaged, code)
	require.NotRegexp(t, `damaged: .*damaged`, out)
	_, errs, code := d.run("rekey", "a.db", "--new-key")
	require.Equal(t, exitDamaged, code)
	require.Contains(t, errs, "168 blocks cannot be read and left as before: 0-167")
	require.Contains(t, errs, "hint: Restore the volume from a backup")

	out, errs, code = d.run("cat", "a.db")
	require.Equal(t, exitDamaged, code)
	require.Empty(t, out)
	require.Contains(t, errs, "--offset 1376256", "behind all of the group: 168 blocks of 8,192 bytes")

	_, errs, code = d.run("decrypt", "a.db")
	require.Equal(t, exitDamaged, code)
	require.Contains(t, errs, "hint: ")
	require.NoFileExists(t, d.path("a.db.coffer-new"), "no plain text is left")
	require.NoFileExists(t, d.path("a.db.coffer-job"))
}
