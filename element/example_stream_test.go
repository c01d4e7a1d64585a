package element_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/fips"
)

// newCipher returns a Cipher over a new key.
func newCipher() (*element.Cipher, dek.ID) {
	keys := dek.NewKeyring()
	key, err := keys.CreateEncryptionKey(256, dek.Element)
	check(err)
	c, err := element.New(keys)
	check(err)
	return c, key.ID()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleOpenReaderAt() {
	c, key := newCipher()
	defer c.Close()

	context := element.NewContext("attachments", "4711")
	var file bytes.Buffer
	w, err := element.NewWriter(&file, c, key, context)
	check(err)
	_, err = io.Copy(w, strings.NewReader(strings.Repeat("a long text, ", 20_000)))
	check(err)
	check(w.Close()) // without its end it is no stream

	r, err := element.OpenReaderAt(bytes.NewReader(file.Bytes()), int64(file.Len()), c, context)
	check(err)
	defer r.Close()
	part := make([]byte, 11)
	_, err = r.ReadAt(part, 13*10_000) // reads one segment of 64 KiB, and no more
	check(err)
	fmt.Printf("%q of %d bytes\n", part, r.Size())
	// Output: "a long text" of 260000 bytes
}

func ExampleCipher_Index() {
	c, key := newCipher()
	defer c.Close()

	context := element.NewContext("patients", "ssn")
	ssn := []byte("078-05-1120")
	value, err := c.Encrypt(ssn, key, context) // into the column: different each time
	check(err)
	index, err := c.Index(key, context, ssn, 24) // into a column beside it, with an SQL index
	check(err)

	wanted, err := c.Index(key, context, []byte("078-05-1120"), 24) // SELECT … WHERE ssn_index = wanted
	check(err)
	plain, err := c.Decrypt(value, context) // some others may share it: decrypt and compare
	check(err)
	fmt.Println(bytes.Equal(index, wanted), bytes.Equal(plain, ssn))
	// Output: true true
}

func ExampleCipher_EncryptWith() {
	c, key := newCipher()
	defer c.Close()

	suite := element.SIV
	if suite.Allowed() != nil { // in FIPS mode
		suite = element.CBC
	}
	context := element.NewContext("patients", "city")
	one, err := c.EncryptWith(suite, []byte("Ulm"), key, context)
	check(err)
	two, err := c.EncryptWith(suite, []byte("Ulm"), key, context)
	check(err)
	fmt.Println(bytes.Equal(one, two) == (suite == element.SIV)) // to be joined and compared; and that shows to everybody
	// Output: true
}

func ExampleCipher_EncryptDigits() {
	c, key := newCipher()
	defer c.Close()

	context := element.NewContext("cards", "row 17")
	hidden, err := c.EncryptDigits("4111111111111111", key, context)
	if fips.Enabled() { // FF1 is refused
		fmt.Println("16 4111111111111111")
		return
	}
	check(err)
	card, err := c.DecryptDigits(hidden, key, context) // the key is not in it: note it elsewhere
	check(err)
	fmt.Println(len(hidden), card)
	// Output: 16 4111111111111111
}
