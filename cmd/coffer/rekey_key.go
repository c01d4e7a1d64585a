package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
)

// newKey returns the key of rekey --new-key, activated: one that an interrupted
// run made and the volume has not been under, or a new one in the first key
// file, durably.
func (p *program) newKey(ks *keys, info *blockstore.Info, t rekeyTarget, o *rekeyFlags) (dek.ID, error) {
	if len(ks.files) == 0 {
		return dek.ID{}, usagef("--new-key needs a key file to put the key into")
	}
	bits, err := newKeyBits(info, t.suite, o.bits)
	if err != nil {
		return dek.ID{}, err
	}
	f := ks.files[0]
	if id, ok := unusedKey(f, info, bits); ok {
		p.note("taking key %s, which an interrupted run made for this", id)
		return id, nil
	}
	id, err := f.AddKey(bits, markedDescription(o.description, info))
	if err != nil {
		return id, aboutKeyfile(f.Path(), err)
	}
	p.remindOfBackup(f.Path())
	k, err := f.Key(id)
	if err != nil {
		return id, err
	}
	defer k.Destroy()
	return id, ks.ring.Activate(k, dek.Database, dek.Active)
}

// newKeyBits is the length of the new key: what the flag says, or as before.
func newKeyBits(info *blockstore.Info, suite blockstore.Suite, bits int) (int, error) {
	if suite == 0 {
		var err error
		if suite, err = blockstore.ParseSuite(info.Suite); err != nil {
			return 0, err
		}
	}
	for _, k := range info.Keys {
		if bits == 0 && k.ID == info.WriteKey {
			bits = k.Bits
		}
	}
	if err := suite.Valid(bits); err != nil {
		return 0, usagef("%w", err)
	}
	return bits, nil
}

// keyMark ends the description of a key that rekey --new-key made, with the
// number of a session behind it: the volume counts its read-write opens.
func keyMark(info *blockstore.Info) string {
	return fmt.Sprintf("re-key of volume %v from %v, session ", info.UUID, info.WriteKey)
}

func markedDescription(text string, info *blockstore.Info) string {
	mark := keyMark(info) + strconv.FormatUint(info.Sessions, 10)
	switch {
	case text == "":
		return mark
	case len(text)+len(mark)+3 > keyfile.MaxDescription:
		return text
	}
	return text + " (" + mark + ")"
}

// session is the one in which a key was made for this re-key.
func session(k keyfile.KeyInfo, info *blockstore.Info) (n uint64, ok bool) {
	mark := keyMark(info)
	i := strings.LastIndex(k.Description, mark)
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(k.Description[i+len(mark):], ")"), 10, 64)
	return n, err == nil
}

// unusedKey finds the key of a run that was killed before the volume recorded
// the conversion to it. It has to be sure that no block was ever under that key,
// since the user wants a new one: either the journal is under it already, which
// is the step before the blocks' turn, or the run that made it was the last one
// to open the volume, and left no trace in it.
func unusedKey(f *keyfile.File, info *blockstore.Info, bits int) (dek.ID, bool) {
	for _, k := range f.Keys() {
		made, ok := session(k, info)
		inUse := slices.ContainsFunc(info.Keys, func(b blockstore.KeyInfo) bool { return b.ID == k.ID })
		if !ok || inUse || k.Bits != bits {
			continue
		}
		if k.ID == info.JournalKey || made+1 == info.Sessions && !slices.Contains(info.JournalKeys, k.ID) {
			return k.ID, true
		}
	}
	return dek.ID{}, false
}

// leaveInactive lets the volume's own keys encrypt that only decrypt by their
// server's word, but for the one it is to go to. The keyring ends with this run.
// Without leave it refuses what would open read-only.
func (p *program) leaveInactive(info *blockstore.Info, ks *keys, to dek.ID, leave bool) error {
	leaves := append([]dek.ID{info.WriteKey, info.JournalKey}, info.JournalKeys...)
	if c := info.Conversion; c != nil {
		leaves = append(leaves, c.From, c.To)
	}
	for _, e := range ks.ring.List() {
		switch {
		case e.Mode != dek.DecryptOnly:
		case e.ID == to:
			return statef("key %s is not active on its server, it may not encrypt", e.ID)
		case !leave && e.ID == info.WriteKey:
			return fault.Hint(statef("key %s is not active on its server: the volume can only be read with it", e.ID),
				"--leave-inactive writes with it until the volume is under the new key.")
		case leave && slices.Contains(leaves, e.ID):
			p.warn("key %s is not active on its server; it is written with until the volume is under the new key", e.ID)
			if err := ks.ring.SetMode(e.ID, dek.Database, dek.Active); err != nil {
				return err
			}
		}
	}
	return nil
}
