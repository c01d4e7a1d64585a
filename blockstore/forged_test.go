package blockstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
)

// forgeSegment makes, from what lies in clear in the last segment of a journal, a
// plain segment behind it that commits one image. No key is used.
func forgeSegment(t testing.TB, last []byte, block uint64, image []byte) []byte {
	le := binary.LittleEndian
	var end, next int
	var lastFrame []byte
	for off := 4096; off+160 <= len(last) && string(last[off:off+4]) == "CFRF"; off = next {
		n := 160 + int(le.Uint32(last[off+8:]))
		lastFrame, end = last[off:off+n], off+n
		if last[off+5]&1 != 0 {
			end = (end + 4095) &^ 4095
		}
		next = end
	}
	require.NotNil(t, lastFrame)
	seg := NewUUID()
	F := make([]byte, 64) // of a plain frame
	copy(F, "CFF1")
	copy(F[8:], last[40:56])
	copy(F[24:], seg[:])
	chain := func(parts ...[]byte) []byte {
		h := sha256.New()
		h.Write([]byte("coffer/1 frame chain\x00"))
		h.Write(F)
		for _, p := range parts {
			h.Write(le.AppendUint64(nil, uint64(len(p))))
			h.Write(p)
		}
		return h.Sum(nil)
	}
	out := make([]byte, 64<<10)
	copy(out, last[:4096])
	le.PutUint16(out[10:], 0)
	le.PutUint64(out[16:], le.Uint64(last[16:])+1)
	copy(out[24:], seg[:])
	clear(out[88:108]) // no key, no bits
	seq := le.Uint64(lastFrame[16:]) + 1
	le.PutUint64(out[120:], seq)
	le.PutUint64(out[128:], le.Uint64(last[16:]))
	copy(out[136:], last[24:40])
	le.PutUint64(out[152:], seq-1)
	le.PutUint64(out[160:], uint64(end))
	copy(out[168:], lastFrame[120:152])
	copy(out[216:], chain([]byte("coffer/1 segment header"), out[:216]))
	crc := crc32.MakeTable(crc32.Castagnoli)
	le.PutUint32(out[252:], crc32.Update(crc32.Checksum(out[:252], crc), crc, out[256:4096]))

	w := newRedoWriter(1<<20, 0)
	w.op(opImage, block, 0, image)
	p := w.finish(redoCommit, redoFirst, 0, 0)
	fr := out[4096:][:160+len(p)]
	copy(fr, "CFRF")
	fr[4], fr[5] = 1, 1
	le.PutUint32(fr[8:], uint32(len(p)))
	le.PutUint64(fr[16:], seq)
	le.PutUint64(fr[24:], seq-1)
	copy(fr[32:40], lastFrame[32:40])
	copy(fr[40:], seg[:])
	A := make([]byte, 72)
	copy(A, "CFRF")
	A[4], A[5] = 1, 1
	le.PutUint32(A[8:], uint32(len(p)))
	le.PutUint64(A[16:], seq)
	copy(A[24:], last[40:56])
	copy(A[40:], last[56:72])
	copy(A[56:], seg[:])
	FA := append([]byte{}, F...)
	le.PutUint64(FA[56:], uint64(len(A)))
	sum := sha256.Sum256(append(append(FA, A...), p...))
	copy(fr[72:], sum[:16])
	copy(fr[88:], lastFrame[120:152])
	copy(fr[160:], p)
	copy(fr[120:], chain(fr[:12], fr[16:120]))
	le.PutUint32(fr[12:], crc32.Update(crc32.Checksum(fr[:12], crc), crc, fr[16:]))
	return out
}

// lastSegment returns the segment of the highest number in a folder.
func lastSegment(t testing.TB, fs fsx.FS, dir string) (b []byte) {
	names, err := fs.ReadDir(dir)
	require.NoError(t, err)
	var best uint64
	for _, n := range names {
		x := read(t, fs, filepath.Join(dir, n))
		if len(x) > 4096 && string(x[:8]) == "COFFERJ1" {
			if k := binary.LittleEndian.Uint64(x[16:]); k > best {
				best, b = k, x
			}
		}
	}
	return b
}

// TestPlainSegmentForged: who has no key does not commit to a volume whose label
// is under one, though its encryption is unfinished and the journal began plain;
// nor behind a backup from that time.
func TestPlainSegmentForged(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 1)
	s := create(t, fs, keys, None, 400*4096)
	for b := range uint64(400) {
		write1(t, s, b, page(b))
	}
	snap := s.acquire() // a reader keeps redo where the journal is plain
	write1(t, s, 300, page(9))
	v, err := s.Convert(context.Background(), Conversion{Suite: AESGCM, Key: ids[0], Pace: Pace{Share: 0.001}})
	require.NoError(t, err)
	v.Pause()
	write1(t, s, 301, page(10))
	_, err = s.BackupTo(context.Background(), "/b", BackupOptions{})
	require.NoError(t, err)
	write1(t, s, 302, page(11))
	disk := fs.Clone() // the process dies
	s.release(snap)
	v.Stop()
	honest := disk.Clone()
	require.NoError(t, disk.WriteFile("v.journal/segment-000099", forgeSegment(t, lastSegment(t, disk, "v.journal"), 5, page(666))))
	o := testOptions(disk)
	o.AllowPlain = false
	_, err = Open("v", keys, &o)
	require.ErrorIs(t, err, ErrTampered)
	ro := restoreOptions(disk)
	ro.AllowPlain, ro.JournalDir = false, "v.journal"
	_, err = Restore(context.Background(), "/b", "r", keys, ro)
	require.ErrorIs(t, err, ErrTampered)

	o.FS = honest // without the forgery it opens as it was
	s, err = Open("v", keys, &o)
	require.NoError(t, err)
	require.Equal(t, page(11), read1(t, s, 302))
	verified(t, s)
}

// TestRollForwardPlain: a volume that was decrypted after its backup takes
// anybody's commits; a roll-forward follows them only where plain volumes are allowed.
func TestRollForwardPlain(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, _ := ring(t, 1)
	s := create(t, fs, keys, AESGCM, 400*4096)
	write1(t, s, 1, page(1))
	require.NoError(t, s.SetRetention(-1))
	_, err := s.BackupTo(context.Background(), "/b", BackupOptions{})
	require.NoError(t, err)
	write1(t, s, 2, page(2))
	v, err := s.Convert(context.Background(), Conversion{Suite: None})
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	require.NoError(t, s.Close())
	o := testOptions(fs)
	s, err = Open("v", nil, &o) // without a key
	require.NoError(t, err)
	write1(t, s, 3, page(3))
	require.NoError(t, s.Close())
	ro := restoreOptions(fs)
	ro.JournalDir, ro.AllowPlain = "v.journal", false
	_, err = Restore(context.Background(), "/b", "r", keys, ro)
	require.Error(t, err)
	_, err = fs.Stat("r")
	require.Error(t, err, "nothing is left")
	ro.AllowPlain = true
	_, err = Restore(context.Background(), "/b", "r", keys, ro)
	require.NoError(t, err)
}

// TestBackIsNoConsentToPlain: the way back to suite none has to be named.
func TestBackIsNoConsentToPlain(t *testing.T) {
	keys, ids := ring(t, 2)
	s := create(t, fsx.NewMem(1), keys, None, 400*4096)
	for b := range uint64(200) {
		write1(t, s, b, page(b))
	}
	require.NoError(t, s.Checkpoint(context.Background()))
	halfway(t, s, Conversion{Suite: AESGCM, Key: ids[0]}, 1)
	var refused *ConversionError
	_, err := s.Convert(context.Background(), Conversion{Key: ids[1], Back: true})
	require.ErrorAs(t, err, &refused)
	v, err := s.Convert(context.Background(), Conversion{Back: true}) // goes on
	require.NoError(t, err)
	_, err = v.Wait()
	require.NoError(t, err)
	requireOnly(t, s, AESGCM, ids[0])
	verified(t, s)
}

// TestEncryptAfterDecryptInOneSession: the journal of the plain time between them is none that recovery refuses.
func TestEncryptAfterDecryptInOneSession(t *testing.T) {
	fs := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s := create(t, fs, keys, AESGCM, 400*4096)
	write1(t, s, 1, page(1))
	for i, c := range []Conversion{{Suite: None}, {Suite: AESGCM, Key: ids[1]}, {Suite: None}, {Suite: AESGCM, Key: ids[0]}} {
		v, err := s.Convert(context.Background(), c)
		require.NoError(t, err)
		_, err = v.Wait()
		require.NoError(t, err)
		write1(t, s, 2, page(uint64(i)))
		dead := fs.Clone()
		o := testOptions(dead)
		r, err := Open("v", keys, &o)
		require.NoError(t, err)
		require.Equal(t, page(uint64(i)), read1(t, r, 2))
		require.NoError(t, r.Close())
	}
	verified(t, s)
}
