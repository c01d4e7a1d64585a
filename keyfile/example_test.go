package keyfile_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/keyfile"
)

// A key file is created with its first key, gets a second administrator and a
// backup copy, and its keys are activated.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keys.cof")

	admin := keyfile.Credentials{Admin: "alice", Password: []byte("Correct-Horse-7")}
	f, err := keyfile.Create(path, keyfile.CreateOptions{Admin: admin, Description: "payroll"})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if err := f.AddAdmin(keyfile.Credentials{Admin: "safe", Password: []byte("Locked-Away-42!")}); err != nil {
		log.Fatal(err)
	}
	if err := f.Backup(path + ".backup"); err != nil {
		log.Fatal(err)
	}

	ring := dek.NewKeyring()
	defer ring.Close()
	done, err := f.Activate(ring, dek.Database, dek.Active)
	if err != nil {
		log.Fatal(err)
	}
	id, _ := ring.Default()
	fmt.Println(len(done.IDs), "key activated, the file's default key:", id == f.Default())
	for _, a := range f.Info().Admins {
		fmt.Println(a.Name)
	}
	// Output:
	// 1 key activated, the file's default key: true
	// ALICE
	// SAFE
}

// What a key file says without a password.
func ExampleInspect() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keys.cof")
	admin := keyfile.Credentials{Admin: "alice", Password: []byte("Correct-Horse-7")}
	f, err := keyfile.Create(path, keyfile.CreateOptions{Admin: admin, Bits: 192, Description: "payroll"})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()

	info, err := keyfile.Inspect(path, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d key of %d bits, generation %d, intact: %v\n",
		info.Description, len(info.Keys), info.Keys[0].Bits, info.Generation, info.Intact)
	// Output: payroll: 1 key of 192 bits, generation 1, intact: true
}
