package formattest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
)

// kmsFile is what a KMS key file of the provider local says.
type kmsFile struct {
	id    [16]byte
	texts []string
	dek   []byte
}

// readKMSFile is FORMAT.md, "Reading a KMS key file", with the last key of the file of local.
func readKMSFile(data, server []byte) (*kmsFile, error) {
	if len(data) < 80+36 || len(data) > 65536 {
		return nil, errors.New("kms key file: size")
	}
	h := doc.in("kms key file header", data)
	if err := h.check(); err != nil {
		return nil, err
	}
	if h.num("version") != 1 || h.num("flags") != 0 || h.num("length") != uint64(len(data)) || h.num("generation") == 0 {
		return nil, errors.New("kms key file: header")
	}
	end := len(data) - 36
	if sum := data[len(data)-4:]; !bytes.Equal(sum, u32(uint32(crc(data[:len(data)-4])))) {
		return nil, errors.New("kms key file: checksum")
	}
	f := &kmsFile{id: h.uuid("key ID")}
	rest := data[80:end]
	for range 7 + h.num("environment entries") {
		n := 2 + int(rest[0]) + int(rest[1])<<8
		f.texts = append(f.texts, string(rest[2:n]))
		rest = rest[n:]
	}
	if uint64(len(rest)) != h.num("wrapped length") {
		return nil, errors.New("kms key file: wrapped length")
	}
	var err error
	if f.dek, err = unwrap(derive(server, f.id[:], "coffer/1 kms local", 32), rest); err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, derive(f.dek, f.id[:], "coffer/1 kms keyfile mac", 32))
	mac.Write(data[:end])
	switch {
	case uint64(len(f.dek)*8) != h.num("bits"):
		return nil, errors.New("kms key file: bits")
	case !bytes.Equal(h.bytes("check value"), derive(f.dek, f.id[:], "coffer/1 key check value", 16)):
		return nil, errors.New("kms key file: check value")
	case !hmac.Equal(mac.Sum(nil), data[end:][:32]):
		return nil, errors.New("kms key file: altered")
	}
	return f, nil
}
