package kms_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/kms"
)

// A key under a key of a service, activated. The provider "local" stands in for
// "aws" or "azure" here; it is for tests only.
func Example() {
	dir, err := os.MkdirTemp("", "kms")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	server := filepath.Join(dir, "server.key")
	if err := os.WriteFile(server, bytes.Repeat([]byte{7}, 32), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	path := filepath.Join(dir, "app.kms")
	if _, err := kms.Create(ctx, path, kms.CreateOptions{Place: kms.Place{Provider: "local", ServerKey: server}}); err != nil {
		log.Fatal(err)
	}
	file, err := kms.Open(path, nil) // asks nobody
	if err != nil {
		log.Fatal(err)
	}
	ring := dek.NewKeyring()
	defer ring.Close()
	done, err := ring.ActivateFrom(ctx, file, dek.Database, dek.Active) // asks the service
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(done.IDs), "key,", file.Info().Algorithm)
	// Output: 1 key, AES-KW
}
