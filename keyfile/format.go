package keyfile

import (
	"crypto/sha256"
	"slices"

	"github.com/cofferdb/coffer/dek"
)

// Bounds of the format, checked before anything is allocated or derived.
const (
	MaxKeys        = 256     // keys in a file
	MaxAdmins      = 256     // administrators in a file
	MaxName        = 64      // bytes in an administrator's name
	MaxDescription = 1024    // bytes in a description
	MaxFileSize    = 1 << 20 // bytes in a file
)

// Work factors, in iterations of PBKDF2-HMAC-SHA512.
const (
	MinIterations     = 65_536     // the floor (manual, row F2)
	MaxIterations     = 10_000_000 // the ceiling: a hostile file must not hang its reader
	DefaultIterations = 250_000    // 0.11 s on one core of an AMD EPYC of 2023, go1.26
)

// Layout. FORMAT.md has it in tables.
const (
	magic         = "COFFERKF"
	formatVersion = 1

	headerSize   = 64
	adminFixed   = 112 // an administrator record without the name
	keyFixed     = 32  // a key record without wrapped key and description
	kekSize      = 32
	saltSize     = 64
	macSize      = sha256.Size
	crcSize      = 4
	trailerSize  = macSize + crcSize
	minNameSize  = 1
	wrappedKEK   = kekSize + dek.WrapOverhead
	minFileSize  = headerSize + adminFixed + minNameSize + keyFixed + 16 + dek.WrapOverhead + trailerSize
	largestFile  = headerSize + MaxDescription + MaxAdmins*(adminFixed+MaxName) + MaxKeys*(keyFixed+32+dek.WrapOverhead+MaxDescription) + trailerSize
	_            = uint(MaxFileSize - largestFile) // compile-time: a full file fits the bound
	_            = uint(adminFixed - (4 + 4 + saltSize + wrappedKEK))
	maxCreated   = 253_402_300_799 // 9999-12-31T23:59:59Z: what a date can be printed for
	flagDefault  = 1 << 0
	flagJournal  = 1 << 1
	flagsDefined = flagDefault | flagJournal
)

// macInfo is the HKDF info string of the key of the MAC.
const macInfo = "coffer/1 keyfile mac"

// content is what a key file says.
type content struct {
	generation  uint64
	guid        [16]byte
	description string
	admins      []adminRecord
	keys        []keyRecord
}

type adminRecord struct {
	name       string // upper case
	iterations uint32
	salt       [saltSize]byte
	wrapped    [wrappedKEK]byte
}

type keyRecord struct {
	id          dek.ID
	created     uint64 // Unix seconds
	bits        uint16
	flags       uint16
	wrapped     []byte // bits/8 + 8 bytes, never changed in place
	description string
}

// clone returns a copy whose records can be changed.
func (c *content) clone() *content {
	d := *c
	d.admins = slices.Clone(c.admins)
	d.keys = slices.Clone(c.keys)
	return &d
}

func (c *content) findAdmin(name string) int {
	return slices.IndexFunc(c.admins, func(a adminRecord) bool { return a.name == name })
}

func (c *content) findKey(id dek.ID) int {
	return slices.IndexFunc(c.keys, func(k keyRecord) bool { return k.id == id })
}

// marked returns the ID of the key that carries flag.
func (c *content) marked(flag uint16) dek.ID {
	for _, k := range c.keys {
		if k.flags&flag != 0 {
			return k.id
		}
	}
	return dek.ID{}
}
