package element

import (
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
)

// Limits of blind indexes.
const (
	MinIndexBits = 8
	MaxIndexBits = 256
	MaxBuckets   = 1 << 32
)

// The forms of an index: FORMAT.md, "Blind indexes".
const (
	formBits    = 1
	formBuckets = 2
)

// Index returns a blind index of a value: the first so many bits, 8 to 256, of a
// keyed hash (HMAC-SHA256 under a subkey of the key) of context and value, in ⌈bits/8⌉ bytes
// whose bits behind the last are zero. Stored beside the encrypted value, it lets who has the key find
// equal values without decrypting the others. Bring values into one form before (case, spaces).
//
// What it reveals to whoever sees the column: which rows have equal indexes. With many
// bits that is which values are equal, as with [SIV]: frequencies, and with them the
// values where there are few. With few bits, b for N different values, some N/2^b values share
// an index: the column says less, and a search finds that many strangers, to be decrypted and
// dropped. Without the key nobody can compute an index, not even of a guess; whoever
// can have values of his choice stored, and see the column, can compare.
//
// A key that may only decrypt will do. A new key gives new indexes: compute
// them again with a re-key. Errors: [ErrNotActivated], [ErrUsage], [ErrClosed].
func (c *Cipher) Index(key dek.ID, context, value []byte, bits int) ([]byte, error) {
	if bits < MinIndexBits || bits > MaxIndexBits {
		return nil, usagef("an index has %d to %d bits, not %d", MinIndexBits, MaxIndexBits, bits)
	}
	h, err := c.hash(key, formBits, uint64(bits), context, value)
	if err != nil {
		return nil, err
	}
	n := (bits + 7) / 8
	index := append(make([]byte, 0, n), h[:n]...)
	index[n-1] &= 0xff << (n*8 - bits)
	return index, nil
}

// Bucket returns a blind index of a value as a number below buckets, 2 to 2^32: some N/buckets of
// N different values share one. What [Cipher.Index] says holds here.
func (c *Cipher) Bucket(key dek.ID, context, value []byte, buckets uint64) (uint64, error) {
	if buckets < 2 || buckets > MaxBuckets {
		return 0, usagef("2 to %d buckets, not %d", uint64(MaxBuckets), buckets)
	}
	h, err := c.hash(key, formBuckets, buckets, context, value)
	if err != nil {
		return 0, err
	}
	bucket, _ := bits.Mul64(binary.LittleEndian.Uint64(h[:8]), buckets)
	return bucket, nil
}

// hash returns the keyed hash that indexes are cut from.
func (c *Cipher) hash(key dek.ID, form byte, parameter uint64, context, value []byte) (sum [32]byte, err error) {
	if err := checkContext(context); err != nil {
		return sum, err
	}
	k, err := c.use(key)
	if err != nil {
		return sum, err
	}
	defer c.mu.RUnlock()
	x, err := k.indexes()
	if err != nil {
		return sum, err
	}
	m := append(make([]byte, 0, 17+len(context)), form)
	m = binary.LittleEndian.AppendUint64(m, parameter)
	m = binary.LittleEndian.AppendUint64(m, uint64(len(context)))
	m = append(m, context...)
	h := x.mac.pool.Get().(hash.Hash)
	defer x.mac.pool.Put(h)
	h.Reset()
	h.Write(m)
	h.Write(value)
	h.Sum(sum[:0])
	return sum, nil
}

// An indexState makes blind indexes under one key.
type indexState struct{ mac *macKey }

func (x *indexState) close() {
	if x != nil {
		x.mac.close()
	}
}

// indexes returns the key's state for indexes, which it makes at first use.
func (k *keyState) indexes() (*indexState, error) {
	if x := k.index.Load(); x != nil {
		return x, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if x := k.index.Load(); x != nil {
		return x, nil
	}
	if err := fips.Allow(fips.HMAC); err != nil {
		return nil, fmt.Errorf("element: blind index: %w", err)
	}
	mac, err := newMACKey(deriver{key: k.lease.Key()}, "index")
	if err != nil {
		return nil, err
	}
	x := &indexState{mac}
	k.index.Store(x)
	return x, nil
}
