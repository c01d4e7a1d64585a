package blockstore_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
)

func Example() {
	dir, err := os.MkdirTemp("", "coffer-example")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	path, page := filepath.Join(dir, "pages.coffer"), make([]byte, 8192)
	copy(page, "hello, world")

	keys := dek.NewKeyring()
	key, err := dek.Generate(256) // or keyfile.Open, for keys that outlive the program
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))

	s, err := blockstore.Create(path, keys, blockstore.CreateOptions{Size: 1 << 20})
	check(err)
	check(s.Update(func(tx *blockstore.Tx) error { // one atomic, durable commit
		return tx.Write(7, page)
	}))
	check(s.View(func(tx *blockstore.Tx) error { // a snapshot: never half a commit
		got, err := tx.Read(7)
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", got[:12])
		return nil
	}))
	check(s.Close())
	// Output: hello, world
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
