package formattest

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"strings"
)

// keys are DEKs by ID.
type keys map[[16]byte][]byte

// keyRecord is a key of a key file, not yet unwrapped.
type keyRecord struct {
	id          [16]byte
	wrapped     []byte
	flags       uint64
	description string
}

// readKeyFile is FORMAT.md, "Reading a key file".
func readKeyFile(data []byte, admin, password string) (keys, error) {
	if len(data) < 64+36 || len(data) > 1<<20 {
		return nil, errors.New("key file: size")
	}
	h := doc.in("key file header", data)
	if err := h.check(); err != nil {
		return nil, err
	}
	if h.num("version") != 1 || h.num("flags") != 0 || h.num("length") != uint64(len(data)) || h.num("generation") == 0 {
		return nil, errors.New("key file: header")
	}
	end := len(data) - 36
	if sum := data[len(data)-4:]; !bytes.Equal(sum, u32(uint32(crc(data[:len(data)-4])))) {
		return nil, errors.New("key file: checksum")
	}
	rest := data[64:end]
	rest = rest[h.num("description length"):]
	kek, rest, err := readAdmins(rest, int(h.num("administrators")), admin, password)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, derive(kek, h.bytes("file GUID"), "coffer/1 keyfile mac", 32))
	mac.Write(data[:end])
	if !hmac.Equal(mac.Sum(nil), data[end:][:32]) {
		return nil, errors.New("key file: altered")
	}
	return unwrapAll(kek, rest, int(h.num("keys")))
}

// readAdmins returns the KEK, unwrapped for one administrator, and what follows the records.
func readAdmins(rest []byte, count int, admin, password string) (kek, behind []byte, err error) {
	for range count {
		a := doc.in("administrator record", rest)
		if err := a.check(); err != nil {
			return nil, nil, err
		}
		n := int(a.num("name length"))
		if name := rest[a.off("name"):][:n]; string(name) == strings.ToUpper(admin) {
			if i := a.num("iterations"); i < 65536 || i > 10_000_000 {
				return nil, nil, errors.New("key file: iterations")
			}
			principal, err := pbkdf2.Key(sha512.New, password, a.bytes("salt"), int(a.num("iterations")), 32)
			if err != nil {
				return nil, nil, err
			}
			if kek, err = unwrap(principal, a.bytes("wrapped KEK")); err != nil {
				return nil, nil, fmt.Errorf("key file: wrong password or altered administrator record: %w", err)
			}
		}
		rest = rest[a.off("name")+n:]
	}
	if kek == nil {
		return nil, nil, errors.New("key file: unknown administrator")
	}
	return kek, rest, nil
}

func unwrapAll(kek, rest []byte, count int) (keys, error) {
	out := keys{}
	var marks [2]int
	for range count {
		k := doc.in("key record", rest)
		if err := k.check(); err != nil {
			return nil, err
		}
		r := keyRecord{id: k.uuid("key ID"), flags: k.num("flags")}
		at := k.off("wrapped DEK")
		n := int(k.num("bits"))/8 + 8
		r.wrapped = rest[at:][:n]
		r.description = string(rest[at+n:][:k.num("description length")])
		rest = rest[at+n+len(r.description):]
		dek, err := unwrap(kek, r.wrapped)
		if err != nil {
			return nil, fmt.Errorf("key file: key %x: %w", r.id, err)
		}
		out[r.id] = dek
		for i := range marks {
			marks[i] += int(r.flags >> i & 1)
		}
	}
	if len(rest) != 0 || marks != [2]int{1, 1} {
		return nil, errors.New("key file: marks, or bytes too many")
	}
	return out, nil
}
