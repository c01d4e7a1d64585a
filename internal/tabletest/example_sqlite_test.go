package tabletest

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
)

// A column of social security numbers gets another key while the program that uses it goes on.
func Example_sqliteRekey() {
	ctx := context.Background()
	ring := dek.NewKeyring()
	var ids [2]dek.ID
	for i := range ids { // or keyfile.Open, for keys that outlive the program
		key, err := dek.Generate(256)
		must(err)
		must(ring.Activate(key, dek.Element, dek.Active))
		ids[i] = key.ID()
	}
	c, err := element.New(ring)
	must(err)

	db, err := sql.Open("sqlite3", ":memory:")
	must(err)
	defer db.Close()
	db.SetMaxOpenConns(1) // in memory, each connection has a database of its own
	_, err = db.Exec("CREATE TABLE patients (id INTEGER PRIMARY KEY, ssn TEXT)")
	must(err)
	for id, ssn := range []string{"078-05-1120", "219-09-9999"} {
		ciphertext, err := c.Encrypt([]byte(ssn), ids[0], element.NewContext("patients", "ssn", fmt.Sprint(id)))
		must(err)
		_, err = db.Exec("INSERT INTO patients VALUES (?, ?)", id, element.EncodeText(ciphertext))
		must(err)
	}

	bound, err := element.ParseTemplate("patients.ssn.{id}") // each value to its row
	must(err)
	report, err := retable.Run(ctx, db, retable.SQLite, c, retable.Job{
		Table: retable.Name{Table: "patients"}, Column: "ssn",
		Do: retable.Rekey, From: ids[0], To: ids[1], Context: bound,
	}, &retable.Options{Rate: 1000, Checkpoint: retable.InTable(retable.Name{Table: "rekeys"})})
	must(err)
	fmt.Println(report.Changed, "re-keyed,", report.Count.Keys[ids[0]], "left under the old key")
	// Output: 2 re-keyed, 0 left under the old key
}
