package pebblefs_test

import (
	"context"

	"github.com/cofferdb/coffer/dek"
)

var ctx = context.Background()

// twoKeys returns a keyring with two keys.
func twoKeys() (*dek.Keyring, []dek.ID) {
	ring := dek.NewKeyring()
	var ids []dek.ID
	for range 2 {
		k, err := dek.Generate(256)
		check(err)
		check(ring.Activate(k, dek.Database, dek.Active))
		ids = append(ids, k.ID())
	}
	return ring, ids
}
