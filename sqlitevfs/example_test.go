package sqlitevfs_test

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/sqlitevfs"
)

// An encrypted SQLite database in three lines, once there is a key.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(dir)
	keys := dek.NewKeyring() // keyfile.Open, kms or kmip give keys that outlive the program
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	key.Destroy()

	check(sqlitevfs.Register("coffer", keys, nil))
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "app.db")+"?vfs=coffer")
	check(err)

	_, err = db.Exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO notes (text) VALUES ('nobody else reads this')")
	check(err)
	var text, verified string
	check(db.QueryRow("SELECT text FROM notes WHERE id = 1").Scan(&text))
	check(db.QueryRow("PRAGMA coffer_verify").Scan(&verified))
	fmt.Println(text, verified)
	check(db.Close())
	// Output: nobody else reads this ok
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
