package blockstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
)

// A full backup, one of what changed since, and a volume made of the two.
func ExampleRestore() {
	dir, err := os.MkdirTemp("", "coffer-example")
	check(err)
	defer func() { _ = os.RemoveAll(dir) }()
	in := func(name string) string { return filepath.Join(dir, name) }
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	s, err := blockstore.Create(in("pages.coffer"), keys, blockstore.CreateOptions{Size: 1 << 20})
	check(err)
	put := func(block uint64, text string) {
		page := make([]byte, 8192)
		copy(page, text)
		check(s.Update(func(tx *blockstore.Tx) error { return tx.Write(block, page) }))
	}

	ctx := context.Background()
	put(7, "hello")
	_, err = s.BackupTo(ctx, in("full.bak"), blockstore.BackupOptions{})
	check(err)
	put(8, "world")
	inc, err := s.BackupTo(ctx, in("inc.bak"), blockstore.BackupOptions{Base: in("full.bak")})
	check(err)
	fmt.Println("blocks in the second:", inc.Blocks)
	put(7, "overwritten by mistake")
	check(s.Close())

	_, err = blockstore.Restore(ctx, in("inc.bak"), in("restored.coffer"), keys, nil)
	check(err)
	s, err = blockstore.Open(in("restored.coffer"), keys, nil)
	check(err)
	check(s.View(func(tx *blockstore.Tx) error {
		for _, block := range []uint64{7, 8} {
			page, err := tx.Read(block)
			if err != nil {
				return err
			}
			fmt.Printf("%s\n", page[:5])
		}
		return nil
	}))
	check(s.Close())
	// Output:
	// blocks in the second: 1
	// hello
	// world
}
