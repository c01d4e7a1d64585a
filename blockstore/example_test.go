package blockstore_test

import (
	"context"
	"errors"
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

// A key is in memory, and its key file is lost: copy everything out, then put
// it under another key.
func ExampleStore_Export() {
	dir, err := os.MkdirTemp("", "coffer-example")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	s, err := blockstore.Create(filepath.Join(dir, "pages.coffer"), keys, blockstore.CreateOptions{Size: 1 << 20})
	check(err)

	r, err := s.Export(context.Background(), filepath.Join(dir, "plain"), blockstore.ExportOptions{})
	check(err)
	fmt.Println(r.Blocks, "blocks, not encrypted")
	check(s.Close()) // only now

	plain, err := blockstore.Open(filepath.Join(dir, "plain"), keys, &blockstore.Options{AllowPlain: true})
	check(err)
	fmt.Println(plain.Size(), "bytes")
	check(plain.Close())
	// Output:
	// 128 blocks, not encrypted
	// 1048576 bytes
}

// A volume is damaged: take what can be authenticated into a new one.
func ExampleSalvage() {
	dir, err := os.MkdirTemp("", "coffer-example")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	path, page := filepath.Join(dir, "pages.coffer"), make([]byte, 8192)
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	s, err := blockstore.Create(path, keys, blockstore.CreateOptions{Size: 1 << 20})
	check(err)
	check(s.Update(func(tx *blockstore.Tx) error { return errors.Join(tx.Write(3, page), tx.Write(4, page)) }))
	check(s.Close())

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(err)
	_, err = f.WriteAt([]byte("a stray write"), 212992+4*8192) // into block 4
	check(err)
	check(f.Close())

	r, err := blockstore.Salvage(context.Background(), path, keys, filepath.Join(dir, "new.coffer"), blockstore.SalvageOptions{})
	check(err)
	for _, lost := range r.Lost {
		fmt.Printf("lost: %d from %d on: %s\n", lost.Blocks, lost.First, lost.Why)
	}
	fmt.Println(r.Copied, "copied,", r.Holes, "never written")
	// Output:
	// lost: 1 from 4 on: the block is damaged
	// 1 copied, 126 never written
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
