package pebblefs

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/guid"
	"github.com/cofferdb/coffer/internal/seal"
)

// Sizes of the format in bytes: FORMAT.md, "Pebble files".
const (
	pageSize    = 4096
	aliasPages  = 3 // further names
	headPages   = 1 + aliasPages
	headSize    = headPages * pageSize
	tagSize     = 16
	version     = 1
	headMagic   = "COFFERPF"
	aliasMagic  = "COFFERPA"
	headMACAt   = pageSize - 4 - 32
	headCRCAt   = pageSize - 4
	nameInfo    = "coffer/1 pebble name"
	maxPages    = 1 << 31 // seals under one file's key; SP 800-38D allows 2^32
	aliasCRCAt  = 60
	aliasLength = 64
)

// Kind is what a file is for, and how it is written.
type Kind uint8

// The kinds. Zero is no kind.
const (
	Log    Kind = 1 // appended and synced again and again: *.log, MANIFEST-*, REMOTE-OBJ-CATALOG-*
	Table  Kind = 2 // written once, complete at Sync or Close: *.sst, *.blob
	Random Kind = 3 // pages written in place: made by OpenReadWrite
	Plain  Kind = 4 // appended: everything else
)

func (k Kind) String() string {
	switch k {
	case Log:
		return "log"
	case Table:
		return "table"
	case Random:
		return "random"
	case Plain:
		return "plain"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// header is the first page of a file.
type header struct {
	kind  Kind
	file  [16]byte // the file's identity
	key   dek.ID
	check [16]byte // key check value, salt = file
	salt  [32]byte
	name  [tagSize]byte // of the base name it was made under
}

// newHeader draws identity and salt of a new file.
func newHeader(kind Kind, key *dek.Key, base string) (*header, error) {
	h := &header{kind: kind, file: guid.New(), key: key.ID()}
	rand.Read(h.salt[:]) // never fails: crypto/rand ends the process instead
	h.check = key.CheckValue(h.file[:])
	var err error
	h.name, err = h.nameTag(key, base)
	return h, err
}

// nameTag is what a base name is in a header or an alias page: it tells who has the key, and nobody
// else, whether the file may have this name.
func (h *header) nameTag(key *dek.Key, base string) (tag [tagSize]byte, err error) {
	err = key.Derive(tag[:], h.salt[:], nameInfo+"\x00"+base)
	return tag, err
}

func (h *header) scope() seal.Scope {
	return seal.Scope{Volume: h.file, Key: h.key, Domain: seal.DomainFile, Epoch: uint32(h.kind), Salt: h.salt}
}

// put encodes the header and an empty set of aliases into the first headSize bytes of page.
func (h *header) put(page []byte, key *dek.Key) error {
	page = page[:headSize]
	clear(page)
	copy(page, headMagic)
	binary.LittleEndian.PutUint16(page[8:], version)
	page[12] = uint8(h.kind)
	copy(page[16:], h.file[:])
	copy(page[32:], h.key[:])
	copy(page[48:], h.check[:])
	copy(page[64:], h.salt[:])
	copy(page[96:], h.name[:])
	mac, err := seal.FileMAC(key, h.file, page[:headMACAt])
	if err != nil {
		return err
	}
	copy(page[headMACAt:], mac[:])
	binary.LittleEndian.PutUint32(page[headCRCAt:], seal.Checksum(page[:headCRCAt]))
	return nil
}

// parseHeader reads a header page without keys: what it says is not authentic yet.
func parseHeader(page []byte) (*header, error) {
	if len(page) < len(headMagic) || !bytes.Equal(page[:8], []byte(headMagic)) {
		return nil, fmt.Errorf("pebblefs: %w: it does not begin as one", fault.NotFormat)
	}
	if len(page) < pageSize {
		return nil, fmt.Errorf("pebblefs: header is cut short: %w", fault.Damaged)
	}
	if binary.LittleEndian.Uint32(page[headCRCAt:]) != seal.Checksum(page[:headCRCAt]) {
		return nil, fmt.Errorf("pebblefs: checksum of the header: %w", fault.Damaged)
	}
	if v := binary.LittleEndian.Uint16(page[8:]); v != version || page[10]|page[11] != 0 {
		return nil, fmt.Errorf("pebblefs: file of version %d: %w", v, fault.Version)
	}
	h := &header{kind: Kind(page[12]), file: [16]byte(page[16:]), key: dek.ID(page[32:48]), check: [16]byte(page[48:]),
		salt: [32]byte(page[64:]), name: [tagSize]byte(page[96:])}
	if h.kind < Log || h.kind > Plain || h.key.IsZero() || !zero(page[13:16]) || !zero(page[112:headMACAt]) {
		return nil, fmt.Errorf("pebblefs: header: %w", fault.Damaged)
	}
	return h, nil
}

// authenticate checks the header page against the key that it names.
func (h *header) authenticate(page []byte, key *dek.Key) error {
	if check := key.CheckValue(h.file[:]); check != h.check {
		return fmt.Errorf("pebblefs: key %s has other bytes than the one the file was made with: %w", h.key, fault.WrongKey)
	}
	mac, err := seal.FileMAC(key, h.file, page[:headMACAt])
	if err != nil {
		return err
	}
	if !hmac.Equal(mac[:], page[headMACAt:headCRCAt]) {
		return fmt.Errorf("pebblefs: header does not authenticate: %w", fault.Tampered)
	}
	return nil
}

// putAlias encodes a further name into an alias page, whose first aliasLength bytes count.
func (h *header) putAlias(page []byte, tag [tagSize]byte) {
	clear(page)
	copy(page, aliasMagic)
	copy(page[8:], h.file[:])
	copy(page[24:], tag[:])
	binary.LittleEndian.PutUint32(page[aliasCRCAt:], seal.Checksum(page[:aliasCRCAt]))
}

// alias reads an alias page. A page that is not whole is a free one: a name that was lost with it was
// never in use, since the page is synced before.
func (h *header) alias(page []byte) (tag [tagSize]byte, ok bool) {
	ok = len(page) >= aliasLength && bytes.Equal(page[:8], []byte(aliasMagic)) && bytes.Equal(page[8:24], h.file[:]) && zero(page[40:aliasCRCAt]) &&
		binary.LittleEndian.Uint32(page[aliasCRCAt:]) == seal.Checksum(page[:aliasCRCAt])
	if ok {
		tag = [tagSize]byte(page[24:])
	}
	return tag, ok
}

// named reports whether the file may have a name with this tag. head is its first headSize bytes, or
// fewer if it ends before.
func (h *header) named(head []byte, tag [tagSize]byte) bool {
	if hmac.Equal(h.name[:], tag[:]) {
		return true
	}
	for i := range aliasPages {
		if got, ok := h.alias(aliasPage(head, i)); ok && hmac.Equal(got[:], tag[:]) {
			return true
		}
	}
	return false
}

// freeAlias returns the first alias page that holds no name, or -1.
func (h *header) freeAlias(head []byte) int {
	for i := range aliasPages {
		if _, ok := h.alias(aliasPage(head, i)); !ok {
			return i
		}
	}
	return -1
}

func aliasPage(head []byte, i int) []byte {
	at := (1 + i) * pageSize
	if at > len(head) {
		return nil
	}
	return head[at:min(len(head), at+pageSize)]
}

func zero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }
