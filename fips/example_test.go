package fips_test

import (
	"fmt"

	"github.com/cofferdb/coffer/fips"
)

// A program that must run with validated cryptography asks for it before
// anything else, and ends if it cannot have it: nothing would work.
func Example() {
	err := fips.Require()
	if err != nil && fips.Current().State == fips.Failed {
		err = fips.Allow(fips.GCMSeal) // refused, as everything is
	}
	fmt.Println("on, or nothing works:", fips.Enabled() == (err == nil))
	// Output: on, or nothing works: true
}
