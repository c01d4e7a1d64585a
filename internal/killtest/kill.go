// Package killtest is the outside judge of the engine's crash safety: real processes
// on a real file system, killed by SIGKILL at any moment, again and again.
//
// A child opens a volume, compares the whole of it with a model, says so, and
// then commits, re-keys, switches and checkpoints until it is killed. Before a
// commit it says which one it begins, and after it that it is durable. The
// parent checks what the next child finds: not less than what was durable, not
// more than what was begun, and no commit in part.
//
// Commit n is a function of the seed and n, so that the state after any number
// of commits can be computed without the child. What a kill cannot show is a
// loss of power: the system's cache outlives the process. That is for package crashtest.
package killtest

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/cofferdb/coffer/dek"
)

const (
	blocks    = 700 // five groups
	blockSize = 4096
	keyCount  = 3
)

// commit returns the blocks that commit n writes, block 0 not among them.
func commit(seed, n uint64) []uint64 {
	rng := rand.New(rand.NewPCG(seed, n))
	out := make([]uint64, 1+rng.IntN(12))
	for i := range out {
		out[i] = 1 + rng.Uint64N(blocks-1)
	}
	return out
}

// page fills p with what commit n writes to a block; commit 0 leaves zeros.
func page(p []byte, seed, n, block uint64) {
	if n == 0 {
		clear(p)
		return
	}
	rng := rand.NewChaCha8(sha256.Sum256(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, seed), n<<16|block)))
	_, _ = rng.Read(p) // never fails
	binary.LittleEndian.PutUint64(p, n)
}

// state is what commits up to number n have left: for each block, the last that wrote it.
type state struct {
	n    uint64
	last [blocks]uint64
}

// advance goes on to commit n.
func (s *state) advance(seed, n uint64) {
	for s.n < n {
		s.n++
		s.last[0] = s.n
		for _, b := range commit(seed, s.n) {
			s.last[b] = s.n
		}
	}
}

// ring returns the keys of a seed, activated.
func ring(seed uint64) (*dek.Keyring, []dek.ID, error) {
	r := dek.NewKeyring()
	var ids []dek.ID
	for i := range uint64(keyCount) {
		raw := sha256.Sum256(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte("key"), seed), i))
		id := dek.ID(raw[:16])
		k, err := dek.Import(id, raw[:])
		if err != nil {
			return nil, nil, err
		}
		if err := r.Activate(k, dek.Database, dek.Active); err != nil {
			return nil, nil, err
		}
		k.Destroy()
		ids = append(ids, id)
	}
	return r, ids, nil
}
