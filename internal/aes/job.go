package aes

import "unsafe"

// A Job is one message of a batch for CBC, XTS or CTR.
//
// Dst and Src have the same length, a multiple of 16 bytes, 0 too (CTR: any
// length). Dst is exactly Src (in place) or does not overlap it, and overlaps no
// buffer of another job of the batch. Jobs of one batch may differ in length;
// the fastest batches are long and even. No call changes IV.
type Job struct {
	Dst, Src []byte
	IV       [BlockSize]byte // CBC: the IV; XTS: the tweak, not yet encrypted; CTR: the first counter block
}

// checkJobs panics unless all buffers of a batch are as Job says.
func checkJobs(jobs []Job) {
	for i := range jobs {
		checkBuffers(jobs[i].Dst, jobs[i].Src)
	}
}

// checkBuffers panics unless dst and src are whole blocks of the same length, in place or apart.
func checkBuffers(dst, src []byte) {
	if len(src)%BlockSize != 0 {
		panic("aes: input is not whole blocks")
	}
	checkAlias(dst, src)
}

// checkAlias panics unless dst and src have the same length and are in place or apart.
func checkAlias(dst, src []byte) {
	if len(dst) != len(src) {
		panic("aes: input and output differ in length")
	}
	if !sameOrApart(dst, src) {
		panic("aes: input and output overlap")
	}
}

// sameOrApart reports whether two slices of equal length are the same memory or
// share none.
func sameOrApart(a, b []byte) bool {
	x, y := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	n := uintptr(len(a))
	return x == y || x+n <= y || y+n <= x
}

// Overlap reports whether two slices share memory.
func Overlap(a, b []byte) bool {
	x, y := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return len(a) > 0 && len(b) > 0 && x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
