package crashtest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cofferdb/coffer/blockstore"
)

// state is what a volume must hold after one commit: for each block the ID of
// its contents, 0 for zeros.
type state struct {
	size int64
	ids  []uint32
}

func (s state) clone() state { return state{s.size, slices.Clone(s.ids)} }

func (s *state) resize(size int64, blockSize int) {
	n := int((size + int64(blockSize) - 1) / int64(blockSize))
	for len(s.ids) < n {
		s.ids = append(s.ids, 0)
	}
	s.ids, s.size = s.ids[:n], size
}

// fill writes the contents that id stands for in block b.
func fill(p []byte, id uint32, b uint64) {
	if id == 0 {
		clear(p)
		return
	}
	x := uint64(id)<<32 | b
	binary.LittleEndian.PutUint64(p, x)
	for i := 8; i < len(p); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(p[i:], x)
	}
}

// identify returns the ID of a page's contents; it fails where they are nothing that was ever written.
func identify(p, scratch []byte, b uint64) (uint32, error) {
	x := binary.LittleEndian.Uint64(p)
	id := uint32(x >> 32)
	fill(scratch, id, b)
	if !slices.Equal(p, scratch) {
		return 0, fmt.Errorf("block %d holds what was never written there", b)
	}
	return id, nil
}

// observe reads the whole volume.
func observe(s *blockstore.Store) (got state, err error) {
	err = s.View(func(tx *blockstore.Tx) error {
		got, err = observeIn(tx)
		return err
	})
	return got, err
}

// observeIn reads the whole volume as a transaction sees it.
func observeIn(tx *blockstore.Tx) (got state, err error) {
	bs := tx.BlockSize()
	got.size = tx.Size()
	buf, scratch := make([]byte, int(tx.Blocks())*bs), make([]byte, bs)
	if err := tx.ReadInto(0, buf); err != nil {
		return got, err
	}
	for b := range tx.Blocks() {
		id, err := identify(buf[int(b)*bs:][:bs], scratch, b)
		if err != nil {
			return got, err
		}
		got.ids = append(got.ids, id)
	}
	return got, nil
}

func (s state) equal(o state) bool { return s.size == o.size && slices.Equal(s.ids, o.ids) }

// difference says in one line how got differs from want.
func difference(got, want state) string {
	if got.size != want.size {
		return fmt.Sprintf("size %d, want %d", got.size, want.size)
	}
	for b := range got.ids {
		if got.ids[b] != want.ids[b] {
			return fmt.Sprintf("block %d holds %d, want %d", b, got.ids[b], want.ids[b])
		}
	}
	return "none"
}
