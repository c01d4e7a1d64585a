package seal

import "unsafe"

// sameOrApart reports whether two slices of equal length are the same memory or
// share none. (crypto/internal/fips140/alias has this; it cannot be imported.)
func sameOrApart(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 || &a[0] == &b[0] {
		return true
	}
	aStart, bStart := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return aStart+uintptr(len(a)) <= bStart || bStart+uintptr(len(b)) <= aStart
}
