package sqlitevfs

import "github.com/cofferdb/coffer/blockstore"

// scan notices that a database is read from one end to the other, and has the
// next blocks read ahead: SQLite asks for one page at a time.
type scan struct {
	next    uint64          // block behind the one read last
	streak  int             // reads in a row that went on about there
	from    uint64          // first of the blocks asked for last
	till    uint64          // behind them
	pending <-chan struct{} // closed when they have come
}

const (
	scanSkip  = 8   // so many blocks may be left out: pages of other tables, inner pages of the tree
	scanAfter = 8   // so many reads make a scan
	scanAhead = 128 // blocks asked for at a time
)

// look takes note of a read of n blocks from b on. While one stretch is used the
// next one is on its way; who comes to it sooner waits for it, rather than to read it block by block.
func (s *scan) look(tx *blockstore.Tx, b, n uint64) {
	if b < s.next || b-s.next > scanSkip {
		s.streak, s.till = 0, 0
	}
	s.streak++
	s.next = b + n
	if s.streak < scanAfter || s.till != 0 && b < s.from {
		return
	}
	if s.pending != nil && s.till != 0 {
		<-s.pending
	}
	s.from = max(s.till, s.next)
	s.till = s.from + scanAhead
	s.pending = tx.Ahead(s.from, scanAhead)
}
