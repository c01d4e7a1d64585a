//go:build !purego

package aes

import (
	"slices"
	"unsafe"
)

// maxLanes is how many chains run side by side at most.
const maxLanes = 32

// cbcLanes is what the kernels for encryption work on; gen/cbc.go knows its
// layout. A lane is one chain. Kernels read and write whole registers of
// chains: lanes that are not needed are copies of one that is, which then
// writes the same bytes twice.
type cbcLanes struct {
	iv       [maxLanes][BlockSize]byte // the chaining values
	src, dst [maxLanes]*byte
}

// Numbers of lanes of the kernels for encryption.
var (
	cbcWidthsVAES512 = []int{4, 8, 12, 16, 20, 24, 32}
	cbcWidthsVAES256 = []int{2, 4, 8, 12, 16, 20, 22, 24}
	cbcWidthsAESNI   = []int{1, 2, 4, 8, 10, 11, 12}
)

// Least numbers of lanes for which there are kernels that take lines of 64 bytes.
const (
	cbcLinesVAES512 = 16
	cbcLinesVAES256 = 8
	cbcLinesAESNI   = 8
)

// cbcMost is how many bytes of each lane one call of a kernel encrypts at most: the scheduler of Go's
// goroutines cannot interrupt it.
const cbcMost = 64 << 10

func (k *Key) cbcEncryptAsm(jobs []Job) {
	s := cbcScheduler{key: k, waiting: jobs}
	switch k.tier {
	case VAES512:
		s.widths, s.lines = cbcWidthsVAES512, cbcLinesVAES512
	case VAES256:
		s.widths, s.lines = cbcWidthsVAES256, cbcLinesVAES256
	case AESNI:
		s.widths, s.lines = cbcWidthsAESNI, cbcLinesAESNI
	default:
		panic(noKernel)
	}
	s.fill()
	for s.width > 0 {
		s.advance(s.encrypt(min(cbcMost, slices.Min(s.left[:s.width]))))
	}
}

// cbcScheduler keeps the lanes full: as soon as a job ends the next one takes its lane.
type cbcScheduler struct {
	key     *Key
	widths  []int
	lines   int           // numbers of lanes from which kernels take lines
	waiting []Job         // not yet in a lane
	width   int           // lanes in use, which are the first ones
	left    [maxLanes]int // bytes to do, never 0 in a lane in use
	lanes   cbcLanes
}

// fill puts the first jobs into lanes, as many as are best for the batch: turns
// of equal width rather than full ones and a thin last one.
func (s *cbcScheduler) fill() {
	n, most := len(s.waiting), s.widths[len(s.widths)-1]
	if n > most {
		turns := (n + most - 1) / most
		n = (n + turns - 1) / turns
	}
	taken := 0
	for i := range s.waiting {
		if s.width == n {
			break
		}
		if s.put(s.width, &s.waiting[i]) {
			s.width++
		}
		taken = i + 1
	}
	s.waiting = s.waiting[taken:]
}

// put puts a job into lane i, unless it is empty.
func (s *cbcScheduler) put(i int, j *Job) bool {
	if len(j.Src) == 0 {
		return false
	}
	s.left[i], s.lanes.iv[i] = len(j.Src), j.IV
	s.lanes.src[i], s.lanes.dst[i] = unsafe.SliceData(j.Src), unsafe.SliceData(j.Dst)
	return true
}

// next puts the next job that is not empty into lane i. It reports false when there is none.
func (s *cbcScheduler) next(i int) bool {
	for len(s.waiting) > 0 {
		j := &s.waiting[0]
		s.waiting = s.waiting[1:]
		if s.put(i, j) {
			return true
		}
	}
	return false
}

// advance moves all lanes n bytes on. Lanes that are done get the next job, or are given up.
func (s *cbcScheduler) advance(n int) {
	for i := s.width - 1; i >= 0; i-- {
		if s.left[i] -= n; s.left[i] > 0 {
			s.lanes.src[i] = (*byte)(unsafe.Add(unsafe.Pointer(s.lanes.src[i]), n))
			s.lanes.dst[i] = (*byte)(unsafe.Add(unsafe.Pointer(s.lanes.dst[i]), n))
			continue
		}
		if s.next(i) {
			continue
		}
		if s.width--; i < s.width { // the last lane moves in
			s.left[i], s.lanes.iv[i] = s.left[s.width], s.lanes.iv[s.width]
			s.lanes.src[i], s.lanes.dst[i] = s.lanes.src[s.width], s.lanes.dst[s.width]
		}
	}
}

// encrypt encrypts up to n bytes of every lane in use and returns how many:
// lines of 64 bytes where there are enough lanes for it, else blocks.
func (s *cbcScheduler) encrypt(n int) int {
	wide := s.pad()
	if wide < s.lines || n < 64 {
		cbcEncryptBlocks(s.key, wide, (*byte)(unsafe.Pointer(&s.lanes)), n/BlockSize)
		return n
	}
	cbcEncryptLines(s.key, wide, (*byte)(unsafe.Pointer(&s.lanes)), n/64)
	return n &^ 63
}

// pad returns the width of the narrowest kernel that has all lanes in use, and
// makes its other lanes copies of the first.
func (s *cbcScheduler) pad() int {
	wide := 0
	for _, wide = range s.widths {
		if wide >= s.width {
			break
		}
	}
	for i := s.width; i < wide; i++ {
		s.lanes.iv[i], s.lanes.src[i], s.lanes.dst[i] = s.lanes.iv[0], s.lanes.src[0], s.lanes.dst[0]
	}
	return wide
}

func (k *Key) cbcDecryptAsm(jobs []Job) {
	for i := range jobs {
		j := &jobs[i]
		n := len(j.Src) / BlockSize
		if n == 0 {
			continue
		}
		switch k.tier {
		case VAES512:
			cbcDecryptVAES512(k.dec(), &j.IV[0], &j.Dst[0], &j.Src[0], n, k.rounds)
		case VAES256:
			cbcDecryptVAES256(k.dec(), &j.IV[0], &j.Dst[0], &j.Src[0], n, k.rounds)
		case AESNI:
			cbcDecryptAESNI(k.dec(), &j.IV[0], &j.Dst[0], &j.Src[0], n, k.rounds)
		default:
			panic(noKernel)
		}
	}
}
