package fips

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
)

// SelfTest runs every service of the module that Coffer uses, through the
// interface that Coffer uses, against a known answer. [Require] does it; the
// module has done its own before main. The error is [ErrSelfTest].
//
// Key wrap, which is not a service of the module, tests itself in package dek.
func SelfTest() error {
	for _, t := range selfTests {
		got, err := t.run()
		if err == nil && hex.EncodeToString(got) != t.want {
			err = errors.New("not the known answer")
		}
		if err != nil {
			return fmt.Errorf("%w: %v: %w", ErrSelfTest, t.service, err)
		}
	}
	return nil
}

// The answers are those of another implementation (Python's cryptography and hashlib).
var selfTests = []struct {
	service Service
	run     func() ([]byte, error)
	want    string
}{
	{Random, testRandom, ""},
	{SHA2, func() ([]byte, error) { s := sha256.Sum256(testText()); return s[:], nil },
		"809d1ce38e8e037cf0e12bbd8bd8079d04232a033f9f641c605598d3e01691ed"},
	{HMAC, testHMAC, "995864d295fcaec6afece5833dc7a920f26e60281c6405c51a978273310bbb14"},
	{HKDF, func() ([]byte, error) {
		return hkdf.Key(sha256.New, testKey(), testKey()[:16], "coffer self-test", 32)
	}, "81d2af618624a79c246d9323f4d2285c751a50c920447234d45d7d6b998f58c8"},
	{PBKDF2, func() ([]byte, error) {
		return pbkdf2.Key(sha512.New, "correct horse", []byte("sixteen bytes sa"), 2, 32)
	}, "b12ce603c55533aac56b37b65c032703cf813110940962086cff8383623b76a9"},
	{GCMSeal, testGCMSeal, hex.EncodeToString(testText())},
	{GCMOpen, testGCMOpen, hex.EncodeToString(testText())},
	{CBCHMAC, testCBCSeal, "8aafff29f2b9ba6529eac30f34bd576c9f41d7b7e57a6512a42319cd954be4ee"},
	{CBCOpen, testCBC, hex.EncodeToString(testText())},
}

func testText() []byte { return []byte("coffer self-testcoffer self-test") }

// testKey is 00 01 02 …, 32 bytes.
func testKey() []byte {
	k := make([]byte, 32)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// testRandom wants two draws that differ.
func testRandom() ([]byte, error) {
	a, b := make([]byte, 32), make([]byte, 32)
	rand.Read(a) // never fails: crypto/rand ends the process instead
	rand.Read(b)
	if bytes.Equal(a, b) {
		return nil, errors.New("the generator repeats itself")
	}
	return nil, nil
}

func testHMAC() ([]byte, error) {
	h := hmac.New(sha256.New, testKey())
	h.Write(testText())
	return h.Sum(nil), nil
}

func testGCM() (cipher.AEAD, error) {
	b, err := aes.NewCipher(testKey())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(b)
}

// testGCMSeal seals twice and opens what it sealed: the nonces are the module's, so that there is no other known answer.
func testGCMSeal() ([]byte, error) {
	g, err := testGCM()
	if err != nil {
		return nil, err
	}
	one, two := g.Seal(nil, nil, testText(), []byte("bound")), g.Seal(nil, nil, testText(), []byte("bound"))
	if bytes.Equal(one, two) {
		return nil, errors.New("a nonce came twice")
	}
	return g.Open(nil, nil, one, []byte("bound"))
}

func testGCMOpen() ([]byte, error) {
	g, err := testGCM()
	if err != nil {
		return nil, err
	}
	sealed, err := hex.DecodeString("000102030405060708090a0b" +
		"246db07da097e268e82df1a6c58c0b19e0b9e15295097f0f5d0b83a8690c73c6175be966fa52c6b2b88af507954b379f")
	if err != nil {
		return nil, err
	}
	if _, err := g.Open(nil, nil, sealed, []byte("other")); err == nil {
		return nil, errors.New("altered data was accepted")
	}
	return g.Open(nil, nil, sealed, []byte("bound"))
}

func testCBC() ([]byte, error) {
	b, err := aes.NewCipher(testKey())
	if err != nil {
		return nil, err
	}
	out, err := hex.DecodeString("8aafff29f2b9ba6529eac30f34bd576c9f41d7b7e57a6512a42319cd954be4ee")
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(b, testKey()[:16]).CryptBlocks(out, out)
	return out, nil
}

func testCBCSeal() ([]byte, error) {
	b, err := aes.NewCipher(testKey())
	if err != nil {
		return nil, err
	}
	out := testText()
	cipher.NewCBCEncrypter(b, testKey()[:16]).CryptBlocks(out, out)
	return out, nil
}
