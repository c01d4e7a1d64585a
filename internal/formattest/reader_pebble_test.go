package formattest

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
)

const (
	pebblePage = 4096
	pebbleHead = 4 * pebblePage
	pebbleData = 4040
)

// pebblePart is a page of a Pebble file, opened.
type pebblePart struct {
	synced  uint64
	flags   uint64
	content []byte
}

// readPebble is FORMAT.md, "Pebble files": the content of a file under a base name.
func readPebble(data, dek []byte, base string) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < pebbleHead {
		return nil, errors.New("pebble file: head")
	}
	h := doc.in("pebble header", data[:pebblePage])
	if err := h.check(); err != nil {
		return nil, err
	}
	file, macAt := h.uuid("file"), h.off("MAC")
	switch {
	case h.num("version") != 1 || h.num("flags") != 0 || h.num("kind") < 1 || h.num("kind") > 4:
		return nil, errors.New("pebble file: header")
	case h.num("checksum") != crc(data[:h.off("checksum")]):
		return nil, errors.New("pebble file: checksum")
	case !bytes.Equal(h.bytes("check value"), checkValue(dek, file)):
		return nil, errors.New("pebble file: key")
	case !bytes.Equal(h.bytes("MAC"), macOf("coffer/1 pebble header mac", dek, file, data[:macAt])):
		return nil, errors.New("pebble file: altered")
	case !pebbleNamed(h, data, dek, base):
		return nil, errors.New("pebble file: name")
	}
	s := &scope{volume: file, key: h.uuid("key ID"), dek: dek, domain: 6, suite: 1, epoch: uint32(h.num("kind")), salt: h.bytes("salt")}
	return pebbleContent(s, h.num("kind"), data[pebbleHead:])
}

// pebbleNamed is "Header of a Pebble file": the name, or one in an alias page.
func pebbleNamed(h structure, data, dek []byte, base string) bool {
	tag := derive(dek, h.bytes("salt"), "coffer/1 pebble name\x00"+base, 16)
	if bytes.Equal(tag, h.bytes("name tag")) {
		return true
	}
	for i := 1; i <= 3; i++ {
		a := doc.in("pebble alias", data[i*pebblePage:][:64])
		if a.check() == nil && a.uuid("file") == h.uuid("file") && a.num("checksum") == crc(a.b[:a.off("checksum")]) && bytes.Equal(tag, a.bytes("name tag")) {
			return true
		}
	}
	return false
}

// pebbleContent is "The end of a Pebble file", by looking at every page.
func pebbleContent(s *scope, kind uint64, body []byte) (content []byte, err error) {
	n := len(body) / pebblePage
	bad, known, last := n, uint64(0), uint64(0)
	for i := range n {
		p, err := openPebblePage(s, i, body[i*pebblePage:][:pebblePage], len(content))
		if err != nil {
			bad = min(bad, i)
			continue
		}
		known = max(known, p.synced)
		if bad == n {
			content, last = append(content, p.content...), p.flags
		}
	}
	switch {
	case kind == 2 && (bad < n || n == 0 || last&1 == 0 || len(body)%pebblePage != 0):
		return nil, errors.New("pebble file: cut short or altered")
	case kind == 3 && bad < n || known > uint64(bad):
		return nil, errors.New("pebble file: damaged")
	}
	return content, nil
}

func openPebblePage(s *scope, index int, page []byte, at int) (*pebblePart, error) {
	p := doc.in("pebble page", page)
	c := p.b[p.off("ciphertext"):]
	if p.num("checksum") != crc(c) {
		return nil, errTag
	}
	plain, err := s.open(uint64(index), c, p.bytes("nonce"), p.bytes("tag"))
	if err != nil {
		return nil, err
	}
	in := doc.in("pebble page plaintext", plain)
	length := in.num("length")
	if err := in.check(); err != nil || length > pebbleData || in.num("flags") > 3 || in.num("synced") > uint64(index) {
		return nil, fmt.Errorf("pebble page %d: %w", index, err)
	}
	rest := plain[in.off("content"):]
	if !zero(rest[length:]) {
		return nil, fmt.Errorf("pebble page %d: padding", index)
	}
	return &pebblePart{in.num("synced"), in.num("flags"), rest[:length]}, nil
}

// readPebbleNames is "Hidden names": the names key.
func readPebbleNames(data, dek []byte) ([]byte, error) {
	n := doc.in("pebble names", data)
	if err := n.check(); err != nil {
		return nil, err
	}
	salt := n.uuid("salt")
	if n.num("version") != 1 || n.num("checksum") != crc(data[:n.off("checksum")]) || !bytes.Equal(n.bytes("check value"), checkValue(dek, salt)) {
		return nil, errors.New("file of names")
	}
	return unwrap(derive(dek, salt[:], "coffer/1 pebble names", 32), n.bytes("wrapped key"))
}

// revealName returns the name that was hidden.
func revealName(key []byte, hidden string) (string, error) {
	wrapped, err := base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding).DecodeString(hidden)
	if err != nil {
		return "", err
	}
	plain, err := unwrap(key, wrapped)
	if err != nil {
		return "", err
	}
	n := int(plain[0])
	if n >= len(plain) || !zero(plain[1+n:]) {
		return "", errors.New("name")
	}
	return string(plain[1 : 1+n]), nil
}
