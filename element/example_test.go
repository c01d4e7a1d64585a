package element_test

import (
	"fmt"
	"log"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
)

func Example() {
	keys := dek.NewKeyring()
	old, err := keys.CreateEncryptionKey(256, dek.Element) // or keyfile.Open, for keys that outlive the program
	if err != nil {
		log.Fatal(err)
	}
	next, err := keys.CreateEncryptionKey(256, dek.Element)
	if err != nil {
		log.Fatal(err)
	}
	c, err := element.New(keys)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	context := element.NewContext("patients", "ssn", "row 17")
	value, err := c.Encrypt([]byte("078-05-1120"), old.ID(), context)
	if err != nil {
		log.Fatal(err)
	}
	value, err = c.Rekey(value, next.ID(), context) // while the program goes on
	if err != nil {
		log.Fatal(err)
	}
	text := element.EncodeText(value) // for a column of text, or JSON
	fmt.Println(text[:8], len(text))

	value, err = element.DecodeText(text)
	if err != nil {
		log.Fatal(err)
	}
	plain, err := c.Decrypt(value, context) // the value says which key it needs
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", plain)
	_, err = c.Decrypt(value, element.NewContext("patients", "ssn", "row 18"))
	fmt.Println(err != nil)
	// Output:
	// coffer1: 111
	// 078-05-1120
	// true
}
