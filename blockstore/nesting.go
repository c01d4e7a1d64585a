package blockstore

import (
	"runtime"
	"strconv"
	"strings"
)

// insideTx reports whether this goroutine runs the function of a transaction.
func (s *Store) insideTx() bool {
	id := goroutineID()
	if s.writerID.Load() == id {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.readers[id] > 0
}

// goroutineID reads the number from the header of a stack trace, "goroutine N [...".
// It serves only to turn a nested transaction from a deadlock into an error.
func goroutineID() uint64 {
	var buf [40]byte
	n := runtime.Stack(buf[:], false)
	num, _, _ := strings.Cut(strings.TrimPrefix(string(buf[:n]), "goroutine "), " ")
	id, _ := strconv.ParseUint(num, 10, 64)
	return id
}
