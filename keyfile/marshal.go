package keyfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

var le = binary.LittleEndian

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns the file: body, MAC under the KEK, checksum.
func (c *content) seal(kek *secmem.Buffer) ([]byte, error) {
	body := c.marshal()
	mac, err := fileMAC(kek, c.guid, body)
	if err != nil {
		return nil, err
	}
	return appendCRC(append(body, mac[:]...)), nil
}

// fileMAC is HMAC-SHA256 over body under HKDF(KEK, salt = file GUID, macInfo).
func fileMAC(kek *secmem.Buffer, guid [16]byte, body []byte) ([macSize]byte, error) {
	var key, mac [macSize]byte
	defer secmem.Wipe(key[:])
	if err := dek.DeriveFrom(kek.Bytes(), key[:], guid[:], macInfo); err != nil {
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

// size returns the length of the whole file in bytes.
func (c *content) size() int {
	n := headerSize + len(c.description) + trailerSize
	for _, a := range c.admins {
		n += adminFixed + len(a.name)
	}
	for _, k := range c.keys {
		n += keyFixed + len(k.wrapped) + len(k.description)
	}
	return n
}

// marshal returns everything before the MAC.
func (c *content) marshal() []byte {
	size := c.size()
	b := make([]byte, 0, size)
	b = append(b, magic...)
	b = le.AppendUint16(b, formatVersion)
	b = le.AppendUint16(b, 0) // flags
	b = le.AppendUint32(b, uint32(size))
	b = le.AppendUint64(b, c.generation)
	b = append(b, c.guid[:]...)
	b = le.AppendUint16(b, uint16(len(c.admins)))
	b = le.AppendUint16(b, uint16(len(c.keys)))
	b = le.AppendUint16(b, uint16(len(c.description)))
	b = append(b, make([]byte, headerSize-len(b))...)
	b = append(b, c.description...)
	for _, a := range c.admins {
		b = a.append(b)
	}
	for _, k := range c.keys {
		b = k.append(b)
	}
	return b
}

func (a *adminRecord) append(b []byte) []byte {
	b = le.AppendUint32(b, a.iterations)
	b = append(b, byte(len(a.name)), 0, 0, 0)
	b = append(b, a.salt[:]...)
	b = append(b, a.wrapped[:]...)
	return append(b, a.name...)
}

func (k *keyRecord) append(b []byte) []byte {
	b = append(b, k.id[:]...)
	b = le.AppendUint64(b, k.created)
	b = le.AppendUint16(b, k.bits)
	b = le.AppendUint16(b, k.flags)
	b = le.AppendUint16(b, uint16(len(k.description)))
	b = append(b, 0, 0)
	b = append(b, k.wrapped...)
	return append(b, k.description...)
}
