package dek_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/cofferdb/coffer/dek"
)

// A key is activated, leased while it is used, and cannot leave meanwhile.
func Example() {
	key, err := dek.Generate(256)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Destroy()

	ring := dek.NewKeyring()
	if err := ring.Activate(key, dek.Element, dek.Active); err != nil {
		log.Fatal(err)
	}
	lease, err := ring.Lease(key.ID(), dek.Element, "card numbers")
	if err != nil {
		log.Fatal(err)
	}
	var held *dek.HeldError
	if err := ring.Deactivate(key.ID(), dek.Element); errors.As(err, &held) {
		fmt.Println("refused:", held.Reasons[0])
	}
	lease.Release()
	fmt.Println("then:", ring.Deactivate(key.ID(), dek.Element))
	fmt.Println("closed:", ring.Close())
	// Output:
	// refused: in use by card numbers
	// then: <nil>
	// closed: <nil>
}
