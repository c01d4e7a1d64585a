package blockstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// backupScene is a volume with a full backup /full, and /inc that adds to it; a frame of each is in its journal.
type backupScene struct {
	fs   *fsx.Mem
	keys *dek.Keyring
	s    *Store
	want []byte // what /inc holds
}

func newBackupScene(t testing.TB, suite Suite) *backupScene {
	c := &backupScene{fs: fsx.NewMem(1)}
	c.keys, _ = ring(t, 1)
	c.s = create(t, c.fs, c.keys, suite, 400*4096)
	for _, b := range []uint64{0, 1, 2, 170, 171, 399} {
		write1(t, c.s, b, page(b))
	}
	c.backup(t, "/full", "", 20)
	write1(t, c.s, 171, page(1171))
	c.backup(t, "/inc", "/full", 21)
	c.want = contentOf(t, c.s)
	return c
}

// backup makes a backup during which a block is written.
func (c *backupScene) backup(t testing.TB, path, base string, block uint64) {
	require.NoError(t, fsx.Create(c.fs, path, 0o600, func(f fsx.File) error {
		_, err := c.s.Backup(context.Background(), &fileWriter{f: f}, BackupOptions{Base: base, Progress: func(done, _ uint64) {
			if done == perGroup {
				write1(t, c.s, block, page(block))
			}
		}})
		return err
	}))
}

func (c *backupScene) write(t testing.TB, name string, b []byte) {
	t.Helper()
	f, err := c.fs.Open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(t, errors.Join(err, f.Close()))
}

// refused restores and verifies a backup that is not right, and returns what restoring said.
func (c *backupScene) refused(t testing.TB, path string) error {
	t.Helper()
	_, err := Restore(context.Background(), path, "r", c.keys, restoreOptions(c.fs))
	require.Error(t, err)
	names, err2 := c.fs.ReadDir("/")
	require.NoError(t, err2)
	for _, n := range names {
		require.NotContains(t, []string{"r", "r.journal", ".r.tmp0"}, n, "after %v", err)
	}
	return err
}

// found wants a verification to find something.
func (c *backupScene) found(t testing.TB, path string, keys *dek.Keyring) error {
	t.Helper()
	o := testOptions(c.fs)
	r, err := VerifyBackup(context.Background(), path, keys, &o, VerifyOptions{})
	if err != nil {
		return err
	}
	require.False(t, r.OK, "%s", path)
	return r.Err()
}

func TestBackupCut(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	for _, name := range []string{"/full", "/inc"} {
		whole := read(t, c.fs, name)
		for n := 0; n < len(whole); n += 1 + n/23 {
			c.write(t, name, whole[:n])
			err := c.refused(t, "/inc")
			if name == "/full" {
				require.ErrorIs(t, err, ErrState) // no base is to be found
			} else if n < 8 {
				require.ErrorIs(t, err, ErrNotVolume)
			} else {
				require.ErrorIs(t, err, ErrDamaged, "cut at %d", n)
			}
			require.True(t, isBad(c.found(t, name, nil)) || n < 8)
			require.True(t, isBad(c.found(t, name, c.keys)) || n < 8)
		}
		c.write(t, name, append(bytes.Clone(whole), 0))
		c.refused(t, "/inc")
		c.write(t, name, whole)
	}
	r := restored(t, c.fs, c.keys, "/inc", "r", nil)
	require.True(t, bytes.Equal(c.want, contentOf(t, r)))
}

// A byte turned over anywhere, at every structure, is found without keys and refused by a restore.
func TestBackupFlipped(t *testing.T) {
	c := newBackupScene(t, AESGCM)
	for _, name := range []string{"/full", "/inc"} {
		whole := read(t, c.fs, name)
		for _, off := range structures(t, whole) {
			b := bytes.Clone(whole)
			b[off] ^= 0x40
			c.write(t, name, b)
			require.True(t, off < 10 || isBad(c.found(t, name, nil)), "byte %d", off)
			err := c.refused(t, "/inc")
			require.True(t, off < 10 || isBad(err) || errors.Is(err, ErrState), "byte %d: %v", off, err)
		}
		c.write(t, name, whole)
	}
}

// structures returns offsets in every field of a backup: all of small records, some of large ones.
func structures(t testing.TB, b []byte) []int {
	t.Helper()
	offs := []int{0, 8, 12}
	seen := map[backupKind]int{}
	for off := backupPreamble; off < len(b); {
		h, ok := decodeRecordHead(b[off:])
		require.True(t, ok)
		size := backupRecordHeader + h.length
		if seen[h.kind]++; seen[h.kind] <= 3 {
			for i := 0; i < size; i += 1 + i/12 {
				offs = append(offs, off+i)
			}
		}
		off += size
	}
	require.Len(t, seen, 7, "a kind of record that the scene does not have")
	return offs
}

// reforge makes checksums, hash and counts of a backup right again, as anyone can; the MAC stays.
func reforge(t testing.TB, b []byte) []byte {
	t.Helper()
	h := sha256.New()
	h.Write(b[:backupPreamble])
	for off := backupPreamble; off < len(b); {
		head, ok := decodeRecordHead(b[off:])
		require.True(t, ok)
		rec := b[off : off+backupRecordHeader+head.length]
		payload := rec[backupRecordHeader:]
		if head.kind == backupEnd {
			h.Sum(payload[16:16])
		}
		binary.LittleEndian.PutUint32(rec[12:], backupCRC(rec, payload))
		h.Write(rec)
		off += len(rec)
	}
	return b
}

// Altered with everything that needs no key made right again: the MAC refuses it, and a base the hash that the increment has of it.
func TestBackupAltered(t *testing.T) {
	for _, suite := range []Suite{AESGCM, AESCBC} {
		c := newBackupScene(t, suite)
		for _, name := range []string{"/full", "/inc"} {
			whole := read(t, c.fs, name)
			for _, off := range structures(t, whole) {
				head := bytes.Clone(whole)
				head[off] ^= 0x01
				if inRecordHead(t, whole, off) || off < backupPreamble {
					continue // then nothing after it is a backup any more
				}
				if reforge(t, head); bytes.Equal(whole, head) {
					continue // it was the hash
				}
				c.write(t, name, head)
				err := c.refused(t, "/inc")
				require.True(t, isBad(err) || errors.Is(err, ErrState) || errors.Is(err, ErrNotActivated) || errors.Is(err, ErrVersion), "byte %d: %v", off, err)
				if name == "/full" {
					require.Error(t, c.found(t, name, c.keys), "byte %d", off)
				}
			}
			c.write(t, name, whole)
		}
	}
}

func inRecordHead(t testing.TB, b []byte, at int) bool {
	for off := backupPreamble; off < len(b); {
		h, ok := decodeRecordHead(b[off:])
		require.True(t, ok)
		if at >= off && at < off+backupRecordHeader {
			return true
		}
		off += backupRecordHeader + h.length
	}
	return false
}

// Two lives of one state: what one was backed up to is no base for the other.
func TestBackupOfAnotherHistory(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 400*4096)
	write1(t, s, 1, page(1))
	c := &backupScene{fs: fs, keys: keys, s: s}
	common, err := s.BackupTo(context.Background(), "/common", BackupOptions{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	c.write(t, "w", read(t, fs, "v"))

	s = reopen(t, fs, keys)
	write1(t, s, 2, page(2))
	_, err = s.BackupTo(context.Background(), "/one", BackupOptions{Base: "/common"})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	o := testOptions(fs)
	w, err := Open("w", keys, &o)
	require.NoError(t, err)
	write1(t, w, 3, page(3))
	_, err = w.BackupTo(context.Background(), "/two", BackupOptions{Base: "/one"})
	require.ErrorIs(t, err, ErrState)
	require.NotErrorIs(t, err, ErrTampered)
	require.Contains(t, fault.HintOf(err), "full backup")
	require.False(t, exists(fs, "/two"))
	info, err := w.BackupTo(context.Background(), "/two", BackupOptions{Base: "/common"}) // from before the fork
	require.NoError(t, err)
	require.Equal(t, common.ID, info.Base)
	want := contentOf(t, w)
	verified(t, w)
	r := restored(t, fs, keys, "/two", "r", nil)
	require.True(t, bytes.Equal(want, contentOf(t, r)))
	_, err = r.BackupTo(context.Background(), "/three", BackupOptions{Base: "/two"})
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, "restored after")
	verified(t, r)
	x, err := Create("x", keys, CreateOptions{Options: o, Size: 4096, BlockSize: 4096})
	require.NoError(t, err)
	_, err = x.BackupTo(context.Background(), "/x", BackupOptions{Base: "/common"})
	require.ErrorIs(t, err, ErrState)
	verified(t, x)
}

// FuzzBackup: the reader takes any bytes, and what it accepts to the end is a backup to the byte.
func FuzzBackup(f *testing.F) {
	fs := fsx.NewMem(1)
	keys, _ := ring(f, 1)
	s := create(f, fs, keys, AESGCM, 2*4096)
	for _, base := range []string{"", "/0"} { // small ones, so that the fuzzer is quick
		var out bytes.Buffer
		_, err := s.Backup(context.Background(), &out, BackupOptions{Base: base})
		require.NoError(f, err)
		(&backupScene{fs: fs}).write(f, "/0", out.Bytes())
		f.Add(out.Bytes())
		f.Add(out.Bytes()[:out.Len()/2])
		f.Add(out.Bytes()[:backupPreamble+backupRecordHeader])
		write1(f, s, 1, page(1))
	}
	require.NoError(f, s.Close())
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, in := range [][]byte{b, refit(b)} {
			s := newBackupScan(bytes.NewReader(in))
			var again []byte
			for {
				k, payload, err := s.next()
				if errors.Is(err, io.EOF) {
					require.Equal(t, in[backupPreamble:], again)
					return
				}
				if err != nil {
					break
				}
				h := recordHead{kind: k, number: s.number - 1}
				head := h.encode(payload)
				again = append(append(again, head[:]...), payload...)
			}
		}
	})
}

// refit makes the checksums right, so that a fuzzer gets past them.
func refit(b []byte) []byte {
	b = bytes.Clone(b)
	for off := backupPreamble; off+backupRecordHeader <= len(b); {
		h, ok := decodeRecordHead(b[off:])
		if !ok || h.length > len(b)-off-backupRecordHeader {
			break
		}
		rec := b[off : off+backupRecordHeader+h.length]
		binary.LittleEndian.PutUint32(rec[12:], backupCRC(rec, rec[backupRecordHeader:]))
		off += len(rec)
	}
	return b
}
