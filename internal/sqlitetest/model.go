package sqlitetest

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

// rows is the content of the table: id → length and hash of the value.
type rows map[int64]string

// digest names a value.
func digest(v []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(v) // never fails
	return fmt.Sprintf("%d:%x", len(v), h.Sum64())
}

func (r rows) String() string {
	h := fnv.New64a()
	for _, id := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(h, "%d=%s;", id, r[id])
	}
	return fmt.Sprintf("%d rows %x", len(r), h.Sum64())
}

// model is what the database may hold after a power cut.
type model struct {
	now  rows   // as the connection sees it
	past []rows // states that a cut may take the database back to, oldest first: the last durable one, and lazy ones after it
}

func newModel() *model { return &model{now: rows{}, past: []rows{{}}} }

// commit notes a transaction that was acknowledged.
func (m *model) commit(next rows, durable bool) {
	m.now = next
	if durable {
		m.past = nil
	}
	m.past = append(m.past, maps.Clone(next))
}

// maybe notes one that was not: its outcome shows after the cut.
func (m *model) maybe(next rows) { m.past = append(m.past, next) }

// found settles on what is there after a cut, or says that it cannot be.
func (m *model) found(got rows) error {
	for _, may := range m.past {
		if maps.Equal(may, got) {
			m.now, m.past = maps.Clone(got), []rows{got}
			return nil
		}
	}
	return fmt.Errorf("after the cut there are %v, expected was one of %v", got, m.past)
}
