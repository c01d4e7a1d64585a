package formattest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crc(parts ...[]byte) uint64 {
	var c uint32
	for _, p := range parts {
		c = crc32.Update(c, castagnoli, p)
	}
	return uint64(c)
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func derive(secret, salt []byte, info string, n int) []byte {
	out, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		panic(err)
	}
	return out
}

// scope is FORMAT.md, "Subkeys" and "Additional data of a block".
type scope struct {
	volume, key [16]byte
	dek         []byte // empty under suite none
	domain      uint32
	suite       byte
	epoch       uint32
	salt        []byte
}

func (s *scope) subkey(purpose string, n int) []byte {
	info := join([]byte("coffer/1 "+purpose+"\x00"), s.volume[:], u32(s.domain), []byte{s.suite, byte(len(s.dek))}, u32(s.epoch))
	return derive(s.dek, s.salt, string(info), n)
}

func (s *scope) additional(position uint64) []byte {
	ad := doc.in("block additional data", make([]byte, 64))
	copy(ad.bytes("magic"), text(ad.field("magic").rule))
	ad.put("domain", uint64(s.domain))
	copy(ad.bytes("volume"), s.volume[:])
	copy(ad.bytes("key"), s.key[:])
	ad.put("suite", uint64(s.suite))
	ad.put("L", uint64(len(s.dek)))
	ad.put("epoch", uint64(s.epoch))
	ad.put("position", position)
	return ad.b
}

var errTag = errors.New("does not authenticate")

func block(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return b
}

func gcm(key []byte) cipher.AEAD {
	g, err := cipher.NewGCM(block(key))
	if err != nil {
		panic(err)
	}
	return g
}

// open is FORMAT.md, "Blocks".
func (s *scope) open(position uint64, c, nonce, tag []byte) ([]byte, error) {
	ad := s.additional(position)
	n := len(s.dek)
	switch s.suite {
	case 1:
		p, err := gcm(s.subkey("gcm", n)).Open(nil, nonce, join(c, tag), ad)
		if err != nil {
			return nil, errTag
		}
		return p, nil
	case 2:
		if !gmac(s.subkey("cbc mac", n), nonce, join(ad, c), tag) {
			return nil, errTag
		}
		iv := make([]byte, 16)
		block(s.subkey("cbc iv", n)).Encrypt(iv, join(nonce, make([]byte, 4)))
		p := make([]byte, len(c))
		cipher.NewCBCDecrypter(block(s.subkey("cbc data", n)), iv).CryptBlocks(p, c)
		return p, nil
	case 3:
		if !gmac(s.subkey("xts mac", n), nonce, join(ad, c), tag) {
			return nil, errTag
		}
		return xts(s.subkey("xts data", n), s.subkey("xts tweak", n), position, c), nil
	case 4:
		sum := sha256.Sum256(join(ad, c))
		if !zero(nonce) || subtle.ConstantTimeCompare(sum[:16], tag) != 1 {
			return nil, errTag
		}
		return bytes.Clone(c), nil
	}
	return nil, errors.New("no such suite")
}

func gmac(key, nonce, data, tag []byte) bool {
	_, err := gcm(key).Open(nil, nonce, tag, data)
	return err == nil
}

// xts decrypts one data unit: IEEE 1619-2018, clause 5.4, for whole 16-byte units.
func xts(key1, key2 []byte, position uint64, c []byte) []byte {
	data, t := block(key1), make([]byte, 16)
	block(key2).Encrypt(t, join(u64(position), make([]byte, 8)))
	p := make([]byte, len(c))
	for i := 0; i < len(c); i += 16 {
		u := p[i : i+16]
		subtle.XORBytes(u, c[i:i+16], t)
		data.Decrypt(u, u)
		subtle.XORBytes(u, u, t)
		carry := byte(0)
		for j := range t {
			t[j], carry = t[j]<<1|carry, t[j]>>7
		}
		t[0] ^= 0x87 * carry
	}
	return p
}

// unwrap is RFC 3394, section 2.2.2.
func unwrap(kek, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 24 || len(wrapped)%8 != 0 {
		return nil, errors.New("no wrapped key")
	}
	k, n := block(kek), len(wrapped)/8-1
	a, r := binary.BigEndian.Uint64(wrapped), bytes.Clone(wrapped[8:])
	b := make([]byte, 16)
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			binary.BigEndian.PutUint64(b, a^uint64(n*j+i))
			copy(b[8:], r[8*(i-1):][:8])
			k.Decrypt(b, b)
			a = binary.BigEndian.Uint64(b)
			copy(r[8*(i-1):], b[8:])
		}
	}
	if a != 0xa6a6a6a6a6a6a6a6 {
		return nil, errTag
	}
	return r, nil
}

// frameScope is FORMAT.md, "Sealed frames".
type frameScope struct {
	volume, segment, key [16]byte
	dek                  []byte // empty where plain
}

func (s *frameScope) subkey(purpose string, n int) []byte {
	k := scope{volume: s.volume, dek: s.dek, domain: 2, suite: 1, salt: s.segment[:]}
	return k.subkey(purpose, n)
}

func (s *frameScope) additional(own []byte) []byte {
	f := doc.in("frame additional data", make([]byte, 64))
	copy(f.bytes("magic"), text(f.field("magic").rule))
	f.put("L", uint64(len(s.dek)))
	copy(f.bytes("volume"), s.volume[:])
	copy(f.bytes("segment"), s.segment[:])
	copy(f.bytes("key"), s.key[:])
	f.put("length", uint64(len(own)))
	return join(f.b, own)
}

func (s *frameScope) open(c, own, nonce, tag []byte) ([]byte, error) {
	f := s.additional(own)
	if len(s.dek) == 0 {
		sum := sha256.Sum256(join(f, c))
		if !zero(nonce) || !hmac.Equal(sum[:16], tag) {
			return nil, errTag
		}
		return c, nil
	}
	p, err := gcm(s.subkey("frame", len(s.dek))).Open(nil, nonce, join(c, tag), f)
	if err != nil {
		return nil, errTag
	}
	return p, nil
}

func (s *frameScope) chain(parts ...[]byte) (out [32]byte) {
	var m []byte
	for _, p := range parts {
		m = join(m, u64(uint64(len(p))), p)
	}
	if len(s.dek) == 0 {
		return sha256.Sum256(join([]byte("coffer/1 frame chain\x00"), s.additional(nil), m))
	}
	h := hmac.New(sha256.New, s.subkey("frame chain", 32))
	h.Write(m)
	h.Sum(out[:0])
	return out
}

// labelMAC is FORMAT.md, "MAC of the label".
func labelMAC(dek []byte, volume [16]byte, label []byte) []byte {
	return macOf("coffer/1 label mac", dek, volume, label)
}

// macOf is what it has in common with the MAC of a backup.
func macOf(info string, dek []byte, volume [16]byte, label []byte) []byte {
	if len(dek) == 0 {
		sum := sha256.Sum256(join([]byte(info+"\x00"), volume[:], label))
		return sum[:]
	}
	h := hmac.New(sha256.New, derive(dek, volume[:], info, 32))
	h.Write(label)
	return h.Sum(nil)
}

// checkValue is FORMAT.md, "Key check value".
func checkValue(dek []byte, volume [16]byte) []byte {
	return derive(dek, volume[:], "coffer/1 key check value", 16)
}
