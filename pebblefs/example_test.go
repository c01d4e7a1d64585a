package pebblefs_test

import (
	"fmt"
	"io"
	"log"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/pebblefs"
)

func Example() {
	const dir = "db"
	disk := vfs.NewMem() // vfs.Default, but for examples
	quiet := &pebble.Options{Logger: discard{}}

	keys := dek.NewKeyring()
	key, err := dek.Generate(256) // or keyfile.Open, for keys that outlive the program
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))

	fs, err := pebblefs.New(disk, keys, nil)
	check(err)
	quiet.FS = fs
	db, err := pebble.Open(dir, quiet)
	check(err)
	check(db.Set([]byte("greeting"), []byte("hello"), pebble.Sync))
	value, closer, err := db.Get([]byte("greeting"))
	check(err)
	fmt.Printf("%s\n", value)
	check(closer.Close())
	check(db.Close())
	check(fs.Close())
	// Output: hello
}

// A change of keys while the database is used: afterwards no file is under the old key.
func ExampleFS_Rekey() {
	keys, ids := twoKeys()
	fs, err := pebblefs.New(vfs.NewMem(), keys, &pebblefs.Options{Key: ids[0]})
	check(err)
	db, err := pebble.Open("db", &pebble.Options{FS: fs, Logger: discard{}})
	check(err)
	check(db.Set([]byte("greeting"), []byte("hello"), pebble.Sync))

	check(fs.SetKey(ids[1])) // new files
	report, err := fs.Rekey(ctx, []string{"db"}, nil)
	check(err) // ErrRemaining, with a list, if a file were left
	fmt.Println("under the new key:", report.Done == report.Files)
	check(keys.SetDefault(ids[1]))
	check(keys.SetJournal(ids[1]))
	check(keys.Deactivate(ids[0], dek.Database))

	check(db.Close())
	check(fs.Close())
	// Output: under the new key: true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type discard struct{}

func (discard) Infof(string, ...any)           {}
func (discard) Errorf(string, ...any)          {}
func (discard) Fatalf(format string, a ...any) { fmt.Fprintf(io.Discard, format, a...) }
