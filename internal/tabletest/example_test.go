package tabletest

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// newCipher makes a key; keyfile.Open or a key service has keys that outlive the program.
func newCipher() (*element.Cipher, dek.ID) {
	ring := dek.NewKeyring()
	key, err := dek.Generate(256)
	must(err)
	must(ring.Activate(key, dek.Element, dek.Active))
	c, err := element.New(ring)
	must(err)
	return c, key.ID()
}

// A column of SQLite, encrypted and decrypted as statements run.
func Example_sqlite() {
	c, key := newCipher()
	ssn := c.Column(key, element.NewContext("patients", "ssn"))

	db, err := sql.Open("sqlite3", ":memory:")
	must(err)
	defer db.Close()
	db.SetMaxOpenConns(1) // in memory, each connection has a database of its own
	_, err = db.Exec("CREATE TABLE patients (id INTEGER PRIMARY KEY, ssn TEXT)")
	must(err)
	_, err = db.Exec("INSERT INTO patients VALUES (?, ?), (?, ?)", 1, ssn.Arg("078-05-1120"), 2, nil)
	must(err)

	var stored, text string
	must(db.QueryRow("SELECT ssn FROM patients WHERE id = 1").Scan(&stored))
	must(db.QueryRow("SELECT ssn FROM patients WHERE id = 1").Scan(ssn.Dest(&text)))
	fmt.Println(stored[:8], text)

	var none *string
	must(db.QueryRow("SELECT ssn FROM patients WHERE id = 2").Scan(ssn.Dest(&none)))
	fmt.Println(none == nil)
	// Output:
	// coffer1: 078-05-1120
	// true
}

// Fields of PostgreSQL rows: what is scanned into a new struct is opened afterwards, and
// goes into JSON encrypted. DATABASE_URL names the server.
func Example_postgreSQL() {
	c, key := newCipher()
	mail := c.Column(key, element.NewContext("people", "mail"))
	photo := c.Column(key, element.NewContext("people", "photo")).Binary()

	type person struct {
		ID    int
		Mail  element.String
		Photo element.Bytes
	}
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	must(err)
	defer db.Close()
	_, err = db.Exec("CREATE TABLE people (id int PRIMARY KEY, mail text, photo bytea)")
	must(err)
	p := person{1, element.NewField(mail, "a@b.example"), element.NewField(photo, []byte{0xff, 0xd8})}
	_, err = db.Exec("INSERT INTO people VALUES ($1, $2, $3)", p.ID, p.Mail, p.Photo)
	must(err)

	var q person
	must(db.QueryRow("SELECT id, mail, photo FROM people").Scan(&q.ID, &q.Mail, &q.Photo))
	out, err := json.Marshal(q.Mail)
	must(err)
	must(q.Mail.Open(mail))
	must(q.Photo.Open(photo))
	text, err := q.Mail.Get()
	must(err)
	bytes, err := q.Photo.Get()
	must(err)
	fmt.Println(q, string(out[:9]), text, bytes)
	// prints: {1 [redacted] [redacted]} "coffer1: a@b.example [255 216]
}

// The example above, on a server.
func TestExamplePostgreSQL(t *testing.T) {
	t.Setenv("DATABASE_URL", postgresDSN(t))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = w
	Example_postgreSQL()
	os.Stdout = stdout
	require.NoError(t, w.Close())
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "{1 [redacted] [redacted]} \"coffer1: a@b.example [255 216]\n", string(out))
}
