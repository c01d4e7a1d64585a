package element_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// cipherWithKey makes a key; keyfile.Open or a key service has keys that outlive the program.
func cipherWithKey() (*element.Cipher, dek.ID) {
	ring := dek.NewKeyring()
	key, err := dek.Generate(256)
	must(err)
	must(ring.Activate(key, dek.Element, dek.Active))
	c, err := element.New(ring)
	must(err)
	return c, key.ID()
}

// A column makes arguments of statements, db.Exec("INSERT …", id, ssn.Arg(text)), and destinations of
// scans, row.Scan(&id, ssn.Dest(&text)). What database/sql does with them is:
func ExampleColumn() {
	c, key := cipherWithKey()
	ssn := c.Column(key, element.NewContext("patients", "ssn"))

	stored, err := ssn.Arg("078-05-1120").Value()
	must(err)
	var text string
	must(ssn.Dest(&text).Scan(stored))
	fmt.Println(stored.(string)[:8], text)
	// Output: coffer1: 078-05-1120
}

// A field is clear in the program and encrypted everywhere else. One that was made
// without a column, here by JSON, is opened with it afterwards.
func ExampleField() {
	c, key := cipherWithKey()
	mail := c.Column(key, element.NewContext("people", "mail"))

	type person struct {
		Name string
		Mail element.String
	}
	p := person{"Ada", element.NewField(mail, "ada@b.example")}
	out, err := json.Marshal(p)
	must(err)
	fmt.Println(p, string(out[:30]))

	var q person
	must(json.Unmarshal(out, &q))
	must(q.Mail.Open(mail))
	text, err := q.Mail.Get()
	must(err)
	fmt.Println(text)
	// Output:
	// {Ada [redacted]} {"Name":"Ada","Mail":"coffer1:
	// ada@b.example
}

// Fields with tags are encrypted before a struct is stored, and decrypted after it was read.
func ExampleStructs() {
	type patient struct {
		ID   int
		Name string
		SSN  string `coffer:"encrypt,context=patients.ssn.{ID}"`
	}
	c, key := cipherWithKey()
	structs := c.Structs(key)

	p := patient{ID: 7, Name: "Ada", SSN: "078-05-1120"}
	must(structs.Encrypt(&p))
	fmt.Println(p.Name, p.SSN[:8])

	moved := p
	moved.ID = 8
	fmt.Println(structs.Decrypt(&moved) != nil)

	must(structs.Decrypt(&p))
	fmt.Println(p)
	// Output:
	// Ada coffer1:
	// true
	// {7 Ada 078-05-1120}
}
