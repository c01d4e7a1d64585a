package btree_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/examples/btree"
)

func Example() {
	dir, err := os.MkdirTemp("", "btree")
	check(err)
	defer os.RemoveAll(dir)
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	s, err := blockstore.Create(filepath.Join(dir, "tree.coffer"), keys, blockstore.CreateOptions{})
	check(err)

	tree, err := btree.Open(s)
	check(err)
	check(tree.Update(func(tx *btree.Tx) error { // one durable commit, however many pages it touches
		for _, city := range []string{"Quito", "Aba", "Malmö"} {
			if err := tx.Put([]byte(city), []byte("on Earth")); err != nil {
				return err
			}
		}
		return nil
	}))
	check(tree.View(func(tx *btree.Tx) error {
		return tx.Range([]byte("B"), func(k, v []byte) bool {
			fmt.Printf("%s is %s\n", k, v)
			return true
		})
	}))
	check(s.Close())
	// Output:
	// Malmö is on Earth
	// Quito is on Earth
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
