package nbd_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/nbd"
)

// A volume as a block device on a unix socket: then, for one, nbdcopy
// disk.img 'nbd+unix:///?socket=disk.sock', or a virtual machine with it as its disk.
func Example() {
	dir, err := os.MkdirTemp("", "nbd")
	check(err)
	defer os.RemoveAll(dir)
	keys := dek.NewKeyring()
	key, err := dek.Generate(256)
	check(err)
	check(keys.Activate(key, dek.Database, dek.Active))

	s, err := blockstore.Create(filepath.Join(dir, "disk.coffer"), keys, blockstore.CreateOptions{Size: 1 << 30, BlockSize: 4096})
	check(err)
	server, err := nbd.NewServer(nbd.Volume(s), nbd.Options{Name: "disk"})
	check(err)
	l, err := net.Listen("unix", filepath.Join(dir, "disk.sock"))
	check(err)
	over := make(chan error)
	go func() { over <- server.Serve(l) }()

	check(server.Shutdown(context.Background())) // in a program: when it is told to end
	fmt.Println(<-over)
	check(s.Close()) // the volume file alone is complete now
	// Output: nbd: the server is shut down
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
