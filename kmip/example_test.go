package kmip_test

import (
	"context"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/kmip"
)

// Keys of a server go into a keyring, in the mode that their states there allow.
func Example() {
	src := &kmip.Source{
		Server: kmip.Server{Name: "hsm", Hosts: []string{"kms.example"}, CA: "ca.pem", Cert: "me.pem", Key: "me.key"},
		IDs:    []string{"9158980E-AE52-4E12-82FD-AA5A2909D029"},
	}
	ring := dek.NewKeyring()
	defer ring.Close()
	keys, err := src.Keys(context.Background())
	if err != nil {
		fmt.Println("no key:", err != nil) // here: there is no ca.pem
		return
	}
	for _, k := range keys {
		err := ring.Activate(k, dek.Database, src.Mode(k.ID()))
		k.Destroy()
		if err != nil {
			return
		}
	}
	// Output: no key: true
}
