//go:build !linux

package secmem

// DisableCoreDumps fails with [ErrUnsupported]: it is implemented for Linux only.
func DisableCoreDumps() error { return ErrUnsupported }
