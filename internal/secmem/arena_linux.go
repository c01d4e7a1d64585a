package secmem

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mapLocked maps n zeroed bytes (a multiple of the page size) between two
// pages that cannot be touched, and protects them as far as the system lets
// it. When even the mapping is refused the memory is Go's own.
func mapLocked(n int) ([]byte, Status) {
	page := os.Getpagesize()
	n = (n + page - 1) / page * page
	whole, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return make([]byte, n), Status{Reason: fmt.Sprintf("mmap: %v", err)}
	}
	mem := whole[page : page+n : page+n]
	if err := unix.Mprotect(mem, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		_ = unix.Munmap(whole)
		return make([]byte, n), Status{Reason: fmt.Sprintf("mprotect: %v", err)}
	}
	var refused []string
	try := func(what string, err error) bool {
		if err != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", what, err))
		}
		return err == nil
	}
	// The advice comes first: mlock makes the pages present.
	var s Status
	s.DontDump = try("madvise(MADV_DONTDUMP)", unix.Madvise(mem, unix.MADV_DONTDUMP))
	s.WipeOnFork = try("madvise(MADV_WIPEONFORK)", unix.Madvise(mem, unix.MADV_WIPEONFORK))
	s.Locked = try("mlock (see RLIMIT_MEMLOCK)", unix.Mlock(mem))
	s.Reason = strings.Join(refused, "; ")
	return mem, s
}
