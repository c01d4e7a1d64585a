//go:build fipsindicator

package indicator

import _ "unsafe" // for go:linkname

//go:linkname setIndicator crypto/internal/fips140.setIndicator
func setIndicator(uint8)

//go:linkname getIndicator crypto/internal/fips140.getIndicator
func getIndicator() uint8

// The states of the indicator (crypto/internal/fips140, indicator.go).
const (
	unset       uint8 = 0
	allApproved uint8 = 2
)

// Approved runs f and reports whether it used services of the module, on this
// goroutine, and approved ones only.
func Approved(f func()) bool {
	setIndicator(unset)
	f()
	return getIndicator() == allApproved
}
