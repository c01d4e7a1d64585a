package blockstore

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// salvageBlocks runs a salvage of v on a disk and returns what the new volume holds, and what is listed.
func salvageBlocks(t *testing.T, a *arena, disk *fsx.Mem, stale bool) (got [][]byte, state map[uint64]string, r *SalvageReport) {
	t.Helper()
	disk = disk.Clone()
	r, err := Salvage(context.Background(), "v", a.keys, "new", SalvageOptions{Options: attackOptions(disk), AcceptStale: stale})
	require.NoError(t, err)
	s := reopenAs(t, disk, a.keys, "new")
	for b := range s.Blocks() {
		got = append(got, read1(t, s, b))
	}
	verified(t, s)
	return got, statesOf(t, r), r
}

// TestSalvageKeepsFreshness: older blocks put back, alone or with the tag block
// and tree that go with them, are never taken as the state that the label names:
// they are unproven, and only taken by name.
func TestSalvageKeepsFreshness(t *testing.T) {
	for _, suite := range []Suite{AESGCM, orGCM(AESCBC)} {
		for name, put := range map[string]func(a *arena){
			"a block": func(a *arena) { a.from(a.past, "v", a.block(1), 4096) },
			"a group, records and tree": func(a *arena) {
				end := a.label().layout().end(perGroup)
				a.from(a.past, "v", dataStart, int(end-dataStart))
			},
		} {
			a := &arena{scene: cleanScene(t, suite), t: t}
			a.disk = a.now.Clone()
			put(a)
			zero := make([]byte, 4096)
			for _, stale := range []bool{false, true} {
				got, state, r := salvageBlocks(t, a, a.disk, stale)
				require.ErrorIs(t, r.Err(), ErrDamaged)
				require.NotEmpty(t, state[1])
				for b := range uint64(attackBlocks) {
					switch now, old := pageOf(a.last()[b]), pageOf(a.old[b]); {
					case state[b] == "":
						require.True(t, bytes.Equal(now, got[b]), "%s: block %d passes for the newest", name, b)
					case state[b] == isUnproven && stale:
						require.True(t, bytes.Equal(now, got[b]) || bytes.Equal(old, got[b]), "%s: block %d", name, b)
					default:
						require.True(t, bytes.Equal(zero, got[b]), "%s: block %d is listed and there", name, b)
					}
				}
			}
		}
	}
}

// TestSalvageOlderLabel: with both labels of an earlier state put back, nothing
// written since passes for that state, and the report says that it is not whole.
func TestSalvageOlderLabel(t *testing.T) {
	for name, scene := range map[string]*scene{"clean": cleanScene(t, AESGCM), "crashed": crashedScene(t, AESGCM)} {
		a := &arena{scene: scene, t: t}
		a.disk = a.now.Clone()
		for _, off := range labelOffsets {
			a.from(a.past, "v", off, labelSize)
		}
		got, state, r := salvageBlocks(t, a, a.disk, false)
		require.ErrorIs(t, r.Err(), ErrDamaged, name)
		if name == "crashed" {
			require.NotEmpty(t, r.Journal.LeftOut)
		}
		for b := range got {
			if state[uint64(b)] == "" { // as of then: proven by that label, or by the journal behind it
				require.True(t, bytes.Equal(pageOf(a.old[b]), got[b]), "%s: block %d", name, b)
			} else {
				require.True(t, bytes.Equal(make([]byte, 4096), got[b]), "%s: block %d", name, b)
			}
		}
	}
}

// TestSalvageHalfCheckpoint: a checkpoint was cut at any write, and the journal
// is lost. What was overwritten is in no proven record: it is listed, and with
// the records of the tag block that was being written it is taken by name.
func TestSalvageHalfCheckpoint(t *testing.T) {
	ctx := context.Background()
	disk := fsx.NewMem(1)
	keys, ids := ring(t, 2)
	s, err := Create("v", keys, CreateOptions{Options: attackOptions(disk), Size: attackBlocks * 4096, BlockSize: 4096, Key: ids[0]})
	require.NoError(t, err)
	for b := range uint64(8) {
		write1(t, s, b, pageOf(b+1))
	}
	require.NoError(t, s.Checkpoint(ctx))
	for b := range uint64(4) {
		write1(t, s, b, pageOf(100+b))
	}
	start := disk.Kill().Clone()
	_ = s.Close()
	a := &arena{scene: &scene{keys: keys, ids: ids}, t: t, disk: start}
	redo := a.label().redo.Seq
	unproven, lost := 0, 0
	for k := 0; ; k++ {
		disk := start.Clone()
		o := attackOptions(disk)
		s, err := Open("v", keys, &o)
		require.NoError(t, err)
		disk.CutAfter(k)
		err = s.Checkpoint(ctx)
		done := err == nil
		after := disk.Kill()
		_ = s.Close()
		for _, name := range after.Files() {
			if name != "/v" {
				require.NoError(t, after.Remove(name))
			}
		}
		for _, stale := range []bool{false, true} {
			got, state, r := salvageBlocks(t, a, after, stale)
			require.ErrorIs(t, r.Err(), ErrDamaged, "the journal is missing")
			require.NotEmpty(t, r.Journal.LeftOut)
			for b := range uint64(8) {
				was, is := pageOf(b+1), pageOf(b+1)
				if b < 4 {
					is = pageOf(100 + b)
				}
				switch {
				case state[b] == "" && r.Journal.Through == redo:
					require.True(t, bytes.Equal(was, got[b]), "cut %d, block %d", k, b)
				case state[b] == "": // the label of the checkpoint is there already
					require.True(t, bytes.Equal(is, got[b]), "cut %d, block %d", k, b)
				case state[b] == isUnproven && stale:
					require.True(t, bytes.Equal(is, got[b]), "cut %d, block %d", k, b)
					unproven++
				default:
					require.True(t, bytes.Equal(make([]byte, 4096), got[b]), "cut %d, block %d", k, b)
					lost++
				}
			}
			for b := uint64(8); b < attackBlocks; b++ {
				require.Empty(t, state[b])
			}
		}
		if done {
			break
		}
	}
	require.Positive(t, unproven)
	require.Positive(t, lost)
	t.Logf("unproven %d, lost %d", unproven, lost)
}

// TestSalvageTakesNoForgery: who can write to the disk but has no key gets
// nothing of their own into the new volume, accepted stale or not: neither by
// records of suite none in a volume that is on its way from there, nor from
// another place or volume.
func TestSalvageTakesNoForgery(t *testing.T) {
	for _, stale := range []bool{false, true} {
		disk := fsx.NewMem(1)
		keys, ids := ring(t, 1)
		s := create(t, disk, nil, None, attackBlocks*4096)
		for b := range uint64(20) {
			write1(t, s, b, pageOf(b+1))
		}
		require.NoError(t, s.Close())
		a := &arena{scene: &scene{keys: keys, ids: ids}, t: t, disk: disk}
		at := a.block(19)
		a.edit("v", func(b []byte) { b[at] ^= 1 }) // a bad block keeps the conversion from its end
		s = reopen(t, disk, keys)
		c, err := s.Convert(context.Background(), Conversion{Key: ids[0], Suite: AESGCM, Workers: 1})
		require.NoError(t, err)
		res, err := c.Wait()
		require.NoError(t, err)
		require.False(t, res.Complete)
		require.NoError(t, s.Close())
		l := a.label()
		require.Equal(t, opEncrypt, l.conv.op)
		forged, lay := page(31337), l.layout()
		now, other := a.tagOffset(0)
		cipher := forgedCipher(t, l)
		a.edit("v", func(b []byte) {
			for _, at := range []int64{now, other} {
				for blk := range uint64(20) {
					copy(b[lay.block(blk):], forged)
					r := record{kind: recordData, slot: l.conv.from, epoch: l.slots[l.conv.from].current().number, version: 1 << 40}
					r.tag, r.crc = cipher(blk, forged)
					r.encode(b[at+offMetaBody+int64(blk)*recordSize:])
				}
				mendMeta(b[at:])
			}
		})
		o := SalvageOptions{Options: testOptions(disk), AcceptStale: stale}
		r, err := Salvage(context.Background(), "v", keys, "new", o)
		require.NoError(t, err)
		require.Zero(t, r.Copied)
		require.Zero(t, r.UnprovenBlocks)
		require.Equal(t, uint64(perGroup), r.LostBlocks)
		n := reopenAs(t, disk, keys, "new")
		for b := range uint64(attackBlocks) {
			require.Equal(t, make([]byte, 4096), read1(t, n, b))
		}
		verified(t, n)
	}
}

// forgedCipher seals as suite none does, which needs no key.
func forgedCipher(t *testing.T, l *label) func(block uint64, data []byte) ([seal.TagSize]byte, uint32) {
	c, err := seal.New(None, nil, seal.Scope{Volume: l.volume, Domain: seal.DomainVolume, Epoch: l.slots[l.conv.from].current().number})
	require.NoError(t, err)
	return func(block uint64, data []byte) ([seal.TagSize]byte, uint32) {
		b := []seal.Block{{Position: block, Src: data, Dst: make([]byte, len(data))}}
		require.NoError(t, c.Seal(b))
		return b[0].Tag, b[0].CRC
	}
}
