package retable_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
)

// A column of PostgreSQL gets another key while programs go on to use it. With the driver
// github.com/jackc/pgx/v5/stdlib imported, DATABASE_URL names the server. What runs in tests, on both
// databases, is in internal/tabletest.
func ExampleRun() {
	var keys *dek.Keyring // with the old key and the new one activated for elements
	var old, next dek.ID

	c, err := element.New(keys)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	bound, err := element.ParseTemplate("patients.ssn.{id}") // each value to its row
	if err != nil {
		log.Fatal(err)
	}
	report, err := retable.Run(context.Background(), db, retable.PostgreSQL, c, retable.Job{
		Table: retable.Name{Table: "patients"}, Column: "ssn",
		Do: retable.Rekey, From: old, To: next, Context: bound,
	}, &retable.Options{Rate: 1000, Checkpoint: retable.InFile("patients.place")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Changed, "re-keyed,", report.Count.Keys[old], "left under the old key")
}
