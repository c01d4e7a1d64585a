package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A pebbleSide is one database with its clients.
type pebbleSide struct {
	db   *pebble.DB
	keys atomic.Uint64 // inserted so far
}

// load inserts n keys, in batches, and waits until nothing is being compacted.
func (s *pebbleSide) load(ctx context.Context, n int) error {
	c := newClient(s, 0)
	for i := 0; i < n; {
		b := s.db.NewBatch()
		for ; i < n && b.Len() < 1<<20; i++ {
			if err := b.Set(c.key(s.keys.Add(1)), c.value(), nil); err != nil {
				return err
			}
		}
		if err := errors.Join(b.Commit(pebble.NoSync), ctx.Err()); err != nil {
			return err
		}
	}
	if err := s.db.Flush(); err != nil {
		return err
	}
	return s.db.Compact(ctx, []byte("a"), []byte("z"), true)
}

// slice runs the clients for some time and returns wall time and processor time by operation in microseconds.
func (s *pebbleSide) slice(ctx context.Context, m mix, seed uint64, d time.Duration) (wall, processor float64, err error) {
	var wg sync.WaitGroup
	var done atomic.Int64
	errs := make([]error, pebbleClients)
	begun, before := time.Now(), processorTime()
	for i := range pebbleClients {
		wg.Go(func() {
			c := newClient(s, seed*pebbleClients+uint64(i))
			n := int64(0)
			for ; errs[i] == nil && time.Since(begun) < d; n++ {
				errs[i] = errors.Join(c.step(m), ctx.Err())
			}
			done.Add(n)
		})
	}
	wg.Wait()
	n := float64(max(1, done.Load()))
	wall, processor = float64(time.Since(begun).Microseconds())/n, float64((processorTime()-before).Microseconds())/n
	return wall, processor, errors.Join(errs...)
}

// A client works on a side, in a way that comes from its seed.
type client struct {
	s    *pebbleSide
	rng  *rand.Rand
	zipf *rand.Zipf
	buf  [pebbleValue]byte
	name [20]byte
}

func newClient(s *pebbleSide, seed uint64) *client {
	c := &client{s: s, rng: rand.New(rand.NewPCG(seed, 0x70656262))}
	c.zipf = rand.NewZipf(c.rng, 1.01, 1, max(1, s.keys.Load()))
	return c
}

// key returns the n-th key: "user" and a number in no order.
func (c *client) key(n uint64) []byte {
	copy(c.name[:], "user")
	n *= 0x9e3779b97f4a7c15
	for i := len(c.name) - 1; i >= 4; i-- {
		c.name[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return c.name[:]
}

// value returns bytes that do not compress.
func (c *client) value() []byte {
	for i := 0; i < len(c.buf); i += 8 {
		x := c.rng.Uint64()
		for j := range 8 {
			c.buf[i+j] = byte(x >> (8 * j))
		}
	}
	return c.buf[:]
}

func (c *client) step(m mix) error {
	at := c.rng.IntN(100)
	switch {
	case at < m.reads:
		return c.read()
	case at < m.reads+m.updates:
		return c.s.db.Set(c.key(1+c.zipf.Uint64()), c.value(), pebble.Sync)
	case at < m.reads+m.updates+m.inserts:
		return c.s.db.Set(c.key(c.s.keys.Add(1)), c.value(), pebble.Sync)
	}
	return c.scan(1 + int(c.rng.ExpFloat64()*100)%1000)
}

func (c *client) read() error {
	v, closer, err := c.s.db.Get(c.key(1 + c.zipf.Uint64()))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil // the last of the range may not be there yet
	}
	if err != nil {
		return err
	}
	copy(c.buf[:], v)
	return closer.Close()
}

func (c *client) scan(n int) error {
	it, err := c.s.db.NewIter(nil)
	if err != nil {
		return err
	}
	for valid := it.SeekGE(c.key(1 + c.zipf.Uint64())); valid && n > 0; valid = it.Next() {
		copy(c.buf[:], it.Value())
		n--
	}
	return it.Close()
}
