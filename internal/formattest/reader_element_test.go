package formattest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/big"
	"math/bits"
	"strings"
)

var (
	errElement   = errors.New("not an element")
	errUnsound   = errors.New("damaged")
	errNoKey     = errors.New("another key")
	errForged    = errors.New("altered")
	errCutStream = errors.New("cut short")
)

// elementKey is a key of data elements: FORMAT.md, "Element subkeys".
type elementKey struct {
	id  [16]byte
	dek []byte
}

func (k *elementKey) subkey(purpose string, n int, suite byte, salt []byte) []byte {
	s := scope{volume: k.id, dek: k.dek, domain: 5, suite: suite, salt: salt}
	if salt == nil {
		s.salt = k.id[:]
	}
	return s.subkey(purpose, n)
}

func (k *elementKey) gcm(subkey []byte) cipher.AEAD {
	g, err := cipher.NewGCM(newAES(subkey))
	if err != nil {
		panic(err)
	}
	return g
}

func newAES(key []byte) cipher.Block {
	b, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	return b
}

// header reads the header of a value or of a stream.
func (k *elementKey) header(b []byte) (structure, error) {
	if len(b) < 4 || string(b[:3]) != text(doc.tables["element header"].by["magic"].rule) || b[3] != 1 {
		return structure{}, errElement
	}
	title := "element header"
	if len(b) > 4 && b[4] == 2 {
		title = "stream header"
	}
	t := doc.tables[title]
	last := t.rows[len(t.rows)-1]
	if len(b) < last.off+last.size {
		return structure{}, errUnsound
	}
	h := doc.in(title, b[:last.off+last.size])
	suite := h.num("suite")
	if h.check() != nil || suite < 1 || suite > 4 || h.num("kind") > 2 || h.num("kind") == 2 && suite != 1 {
		return h, errUnsound
	}
	if h.uuid("key") != k.id {
		return h, errNoKey
	}
	purpose, salt := "element commitment", []byte(nil)
	if title == "stream header" {
		purpose, salt = "stream commitment", h.bytes("salt")
	}
	c := h.bytes("commitment")
	if !bytes.Equal(c, k.subkey(purpose, len(c), byte(suite), salt)) {
		return h, errNoKey
	}
	return h, nil
}

// open decrypts a value.
func (k *elementKey) open(b, context []byte) ([]byte, error) {
	h, err := k.header(b)
	if err != nil {
		return nil, err
	}
	body, ad, L := b[len(h.b):], join(h.b, context), len(k.dek)
	fixed := map[uint64]int{1: 28, 2: 64, 3: 16, 4: 32}[h.num("suite")]
	if h.num("kind") != 1 || len(body) < fixed {
		return nil, errUnsound
	}
	switch h.num("suite") {
	case 1:
		p, err := k.gcm(k.subkey("element gcm", L, 1, nil)).Open(nil, body[:12], body[12:], ad)
		return p, refused(err)
	case 2:
		body, tag := body[:len(body)-32], body[len(body)-32:]
		if !hmac.Equal(tag, k.mac(join(h.b, u64(uint64(len(context))), context, body))) {
			return nil, errForged
		}
		return k.cbc(2, body)
	case 3:
		return openSIV(k.subkey("element siv", 2*L, 3, nil), body, ad)
	}
	return k.cbc(4, body)
}

func refused(err error) error {
	if err != nil {
		return errForged
	}
	return nil
}

func (k *elementKey) mac(m []byte) []byte {
	h := hmac.New(sha256.New, k.subkey("element mac", 32, 2, nil))
	h.Write(m)
	return h.Sum(nil)
}

// cbc decrypts IV ‖ C and takes the padding off.
func (k *elementKey) cbc(suite byte, body []byte) ([]byte, error) {
	iv, p := body[:16], bytes.Clone(body[16:])
	if len(p)%16 != 0 {
		return nil, errUnsound
	}
	cipher.NewCBCDecrypter(newAES(k.subkey("element cbc", len(k.dek), suite, nil)), iv).CryptBlocks(p, p)
	n := int(p[len(p)-1])
	if n < 1 || n > 16 || !bytes.HasSuffix(p, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errForged
	}
	return p[:len(p)-n], nil
}

// seal encrypts a value with the nonce or IV that is given: FORMAT.md, "Values".
func (k *elementKey) seal(suite byte, nonce, plain, context []byte) []byte {
	h := doc.in("element header", make([]byte, 38))
	copy(h.b, "CFE\x01\x01")
	h.put("suite", uint64(suite))
	copy(h.bytes("key"), k.id[:])
	copy(h.bytes("commitment"), k.subkey("element commitment", 16, suite, nil))
	if suite == 1 {
		return join(h.b, nonce, k.gcm(k.subkey("element gcm", len(k.dek), 1, nil)).Seal(nil, nonce, plain, join(h.b, context)))
	}
	if suite == 3 {
		return join(h.b, sealSIV(k.subkey("element siv", 2*len(k.dek), 3, nil), plain, join(h.b, context)))
	}
	n := 16 - len(plain)%16
	c := join(plain, bytes.Repeat([]byte{byte(n)}, n))
	cipher.NewCBCEncrypter(newAES(k.subkey("element cbc", len(k.dek), suite, nil)), nonce).CryptBlocks(c, c)
	if suite == 4 {
		return join(h.b, nonce, c)
	}
	return join(h.b, nonce, c, k.mac(join(h.b, u64(uint64(len(context))), context, nonce, c)))
}

// double, cmac, s2v: RFC 5297, sections 2.3 and 2.4; RFC 4493.
func doubled(b []byte) []byte {
	n := new(big.Int).Lsh(new(big.Int).SetBytes(b), 1)
	if n.Bit(128) == 1 {
		n.SetBit(n, 128, 0)
		n.Xor(n, big.NewInt(0x87))
	}
	return n.FillBytes(make([]byte, 16))
}

func xored(a, b []byte) []byte {
	out := bytes.Clone(a)
	for i := range b {
		out[i] ^= b[i]
	}
	return out
}

func cmac(key, m []byte) []byte {
	b := newAES(key)
	k := make([]byte, 16)
	b.Encrypt(k, k)
	k = doubled(k)
	m = bytes.Clone(m)
	if len(m) == 0 || len(m)%16 != 0 {
		k = doubled(k)
		m = append(m, 0x80)
		m = append(m, make([]byte, (16-len(m)%16)%16)...)
	}
	copy(m[len(m)-16:], xored(m[len(m)-16:], k))
	x := make([]byte, 16)
	for ; len(m) > 0; m = m[16:] {
		x = xored(x, m[:16])
		b.Encrypt(x, x)
	}
	return x
}

func s2v(key, ad, plain []byte) []byte {
	d := xored(doubled(cmac(key, make([]byte, 16))), cmac(key, ad))
	if len(plain) >= 16 {
		t := bytes.Clone(plain)
		copy(t[len(t)-16:], xored(t[len(t)-16:], d))
		return cmac(key, t)
	}
	return cmac(key, xored(doubled(d), append(bytes.Clone(plain), 0x80)))
}

func ctrSIV(key, v, b []byte) []byte {
	q, out := bytes.Clone(v), make([]byte, len(b))
	q[8] &= 0x7f
	q[12] &= 0x7f
	cipher.NewCTR(newAES(key), q).XORKeyStream(out, b)
	return out
}

func sealSIV(key, plain, ad []byte) []byte {
	v := s2v(key[:len(key)/2], ad, plain)
	return join(v, ctrSIV(key[len(key)/2:], v, plain))
}

func openSIV(key, body, ad []byte) ([]byte, error) {
	p := ctrSIV(key[len(key)/2:], body[:16], body[16:])
	if !bytes.Equal(body[:16], s2v(key[:len(key)/2], ad, p)) {
		return nil, errForged
	}
	return p, nil
}

// decodeElement reads the text form.
func decodeElement(s string) ([]byte, error) {
	body, ok := strings.CutPrefix(s, "coffer1:")
	if !ok {
		return nil, errElement
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != body {
		return nil, errUnsound
	}
	return b, nil
}

// openStream decrypts a whole stream.
func (k *elementKey) openStream(b, context []byte) ([]byte, error) {
	h, err := k.header(b)
	if err != nil {
		return nil, err
	}
	power := h.num("segment")
	if h.num("kind") != 2 || power < 12 || power > 20 {
		return nil, errUnsound
	}
	g := k.gcm(k.subkey("stream", len(k.dek), 1, h.bytes("salt")))
	size, b := 1<<power, b[len(h.b):]
	n := (len(b) + size + 63) / (size + 64)
	if n == 0 {
		return nil, errCutStream
	}
	var plain []byte
	for i := range n {
		s := b[i*(size+64):]
		s = s[:min(len(s), size+64)]
		if len(s) < 64 || len(s) == 64 && n > 1 {
			return plain, errCutStream
		}
		sh := doc.in("stream segment", s[:64])
		p, err := g.Open(nil, sh.bytes("nonce"), join(s[64:], sh.bytes("tag")), join(s[:sh.off("nonce")], context))
		if err != nil || sh.check() != nil || sh.num("S") != uint64(size) || sh.num("number") != uint64(i) {
			return plain, errForged
		}
		switch last := sh.num("last"); {
		case last == 0 && i == n-1:
			return plain, errCutStream
		case last == 1 != (i == n-1):
			return plain, errForged
		}
		plain = append(plain, p...)
	}
	return plain, nil
}

// sealStream encrypts a whole stream with salt and nonces that are not random.
func (k *elementKey) sealStream(power byte, plain, context []byte) []byte {
	h := doc.in("stream header", make([]byte, 128))
	copy(h.b, "CFE\x01\x02\x01")
	copy(h.bytes("key"), k.id[:])
	h.put("segment", uint64(power))
	copy(h.bytes("salt"), bytes.Repeat([]byte{0x5a}, 32))
	copy(h.bytes("commitment"), k.subkey("stream commitment", 32, 1, h.bytes("salt")))
	g := k.gcm(k.subkey("stream", len(k.dek), 1, h.bytes("salt")))
	out, size := h.b, 1<<power
	for i := 0; i == 0 || i*size < len(plain); i++ {
		p := plain[i*size : min(len(plain), (i+1)*size)]
		s := doc.in("stream segment", make([]byte, 64))
		copy(s.bytes("magic"), text(s.field("magic").rule))
		s.put("S", uint64(size))
		s.put("number", uint64(i))
		if (i+1)*size >= len(plain) {
			s.put("last", 1)
		}
		s.put("nonce", uint64(i+1))
		sealed := g.Seal(nil, s.bytes("nonce"), p, join(s.b[:s.off("nonce")], context))
		copy(s.bytes("tag"), sealed[len(p):])
		out = join(out, s.b, sealed[:len(p)])
	}
	return out
}

// index computes a blind index of form 1, bucket one of form 2.
func (k *elementKey) hash(form byte, parameter uint64, context, value []byte) []byte {
	h := hmac.New(sha256.New, k.subkey("index", 32, 0, nil))
	h.Write(join([]byte{form}, u64(parameter), u64(uint64(len(context))), context, value))
	return h.Sum(nil)
}

func (k *elementKey) index(n int, context, value []byte) []byte {
	x := k.hash(1, uint64(n), context, value)[:(n+7)/8]
	if n%8 != 0 {
		x[len(x)-1] &= byte(0xff) << (8 - n%8)
	}
	return x
}

func (k *elementKey) bucket(n uint64, context, value []byte) uint64 {
	hi, _ := bits.Mul64(binary.LittleEndian.Uint64(k.hash(2, n, context, value)), n)
	return hi
}

// digits decrypts with FF1: SP 800-38G, algorithm 8, radix 10.
func (k *elementKey) digits(x string, tweak []byte) string {
	block := newAES(k.subkey("ff1", len(k.dek), 0, nil))
	n, t, u := len(x), len(tweak), len(x)/2
	v := n - u
	exp := func(m int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(m)), nil) }
	num := func(s string) *big.Int { i, _ := new(big.Int).SetString(s, 10); return i }
	b := (new(big.Int).Sub(exp(v), big.NewInt(1)).BitLen() + 7) / 8
	d := 4*((b+3)/4) + 4
	p := []byte{1, 2, 1, 0, 0, 10, 10, byte(u), 0, 0, 0, byte(n), 0, 0, byte(t >> 8), byte(t)}
	one, two := x[:u], x[u:]
	for i := 9; i >= 0; i-- {
		q := join(tweak, make([]byte, ((-t-b-1)%16+16)%16), []byte{byte(i)}, num(one).FillBytes(make([]byte, b)))
		r := make([]byte, 16)
		for m := join(p, q); len(m) > 0; m = m[16:] {
			r = xored(r, m[:16])
			block.Encrypt(r, r)
		}
		next := xored(r, append(make([]byte, 15), 1))
		block.Encrypt(next, next)
		y := new(big.Int).SetBytes(join(r, next)[:d])
		m := v
		if i%2 == 0 {
			m = u
		}
		c := new(big.Int).Mod(new(big.Int).Sub(num(two), y), exp(m)).String()
		one, two = strings.Repeat("0", m-len(c))+c, one
	}
	return one + two
}
