package control_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/control"
	"github.com/cofferdb/coffer/dek"
)

// A program that keeps a volume open answers on VOLUME.ctl: coffer rekey, backup,
// info, anchor and verify work on the volume meanwhile.
func Example() {
	dir, err := os.MkdirTemp("", "ctl")
	check(err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pages.coffer")
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))
	s, err := blockstore.Create(path, keys, blockstore.CreateOptions{Size: 1 << 20})
	check(err)

	server, err := control.Serve(s, control.Options{
		// For re-keys to new keys: read the program's own key file again (keyfile.File.Reload).
		Activate: func(context.Context, dek.ID) error { return nil },
	})
	check(err)

	client, err := control.Dial(context.Background(), path) // in another process
	check(err)
	report, err := client.Verify(context.Background(), 0, nil)
	check(err)
	fmt.Println(report.OK, report.Blocks)
	check(client.Close())

	check(server.Close())
	check(s.Close())
	// Output: true 128
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
