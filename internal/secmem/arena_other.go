//go:build !linux

package secmem

import "runtime"

// mapLocked returns ordinary memory: locking is implemented for Linux only.
func mapLocked(n int) ([]byte, Status) {
	return make([]byte, n), Status{Reason: "memory for keys is not locked on " + runtime.GOOS}
}
