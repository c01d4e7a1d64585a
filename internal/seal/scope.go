package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// A Domain separates the uses of one key: blocks of different domains never
// authenticate for one another. Zero is no domain. FORMAT.md registers the values.
type Domain uint32

// The domains.
const (
	DomainVolume  Domain = 1 // data blocks of a volume
	DomainJournal Domain = 2 // frames of a journal segment; used by NewFrame
	DomainSpill   Domain = 3 // images kept aside for snapshots, in a temporary file
	DomainBackup  Domain = 4 // blocks of a backup
	DomainElement Domain = 5 // data elements
	DomainFile    Domain = 6 // pages of a file of package pebblefs
)

// A Scope is what subkeys and additional data bind, beside the suite and the
// key's length. Two scopes that differ in any field have unrelated subkeys
// (under suite none, which has none, Salt has no effect).
type Scope struct {
	Volume [16]byte // UUID of the volume
	Key    dek.ID   // of the key given to New; zero for suite none
	Domain Domain
	Epoch  uint32   // number of the epoch in the label
	Salt   [32]byte // random salt of the epoch; all zero for suite none
}

// adSize is the length of the additional data of a block.
const adSize = 64

// additional returns the block's additional data with position zero.
// Layout: FORMAT.md, "Additional data of a block".
func (sc *Scope) additional(suite Suite, keyLen int) (ad [adSize]byte) {
	copy(ad[0:4], "CFR1")
	binary.LittleEndian.PutUint32(ad[4:8], uint32(sc.Domain))
	copy(ad[8:24], sc.Volume[:])
	copy(ad[24:40], sc.Key[:])
	ad[40] = uint8(suite)
	ad[41] = uint8(keyLen)
	// 42..43 zero
	binary.LittleEndian.PutUint32(ad[44:48], sc.Epoch)
	// 48..55 position, 56..63 zero
	return ad
}

// putPosition writes a block's position into its additional data.
func putPosition(ad *[adSize]byte, position uint64) {
	binary.LittleEndian.PutUint64(ad[48:56], position)
}

// info returns HKDF's info for a subkey. Layout: FORMAT.md, "Subkeys".
func (sc *Scope) info(purpose string, suite Suite, keyLen int) string {
	b := append([]byte("coffer/1 "), purpose...)
	b = append(b, 0)
	b = append(b, sc.Volume[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(sc.Domain))
	b = append(b, uint8(suite), uint8(keyLen))
	b = binary.LittleEndian.AppendUint32(b, sc.Epoch)
	return string(b)
}

// check refuses a scope that does not fit suite and key.
func (sc *Scope) check(suite Suite, key *dek.Key) error {
	switch {
	case sc.Domain == 0:
		return fmt.Errorf("domain zero: %w", ErrScope)
	case key == nil && sc.Key != (dek.ID{}):
		return fmt.Errorf("suite %v with a key ID: %w", suite, ErrScope)
	case key == nil && sc.Salt != ([32]byte{}):
		return fmt.Errorf("suite %v with a salt: %w", suite, ErrScope)
	case key != nil && sc.Key != key.ID():
		return fmt.Errorf("scope names key %v, not %v: %w", sc.Key, key.ID(), ErrScope)
	}
	return nil
}

// A deriver hands out the subkeys of one key, scope and suite.
type deriver struct {
	key   *dek.Key
	scope *Scope
	suite Suite
	salt  []byte
}

// with derives the n-byte subkey of a purpose, lends it to use, and wipes it.
func (d deriver) with(purpose string, n int, use func(subkey []byte) error) error {
	buf, err := secmem.New(n)
	if err != nil {
		return fmt.Errorf("seal: memory for a subkey: %w", err)
	}
	defer buf.Release()
	if err := d.key.Derive(buf.Bytes(), d.salt, d.scope.info(purpose, d.suite, d.key.Len())); err != nil {
		return fmt.Errorf("seal: derive subkey: %w", err)
	}
	return use(buf.Bytes())
}
