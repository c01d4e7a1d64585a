package seal

import (
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/cofferdb/coffer/dek"
)

// New returns a cipher for the blocks of a scope. The key is nil for suite none,
// and is not kept: subkeys are derived from it here, and the caller may release
// its lease when the cipher is closed. Errors: ErrSuite, ErrScope, and
// fault.Unsupported where FIPS mode refuses the suite; see [Suite.Allowed].
func New(suite Suite, key *dek.Key, sc Scope) (Cipher, error) {
	bits, keyLen := 0, 0
	if key != nil {
		bits, keyLen = key.Bits(), key.Len()
	}
	if err := suite.Valid(bits); err != nil {
		return nil, err
	}
	if err := sc.check(suite, key); err != nil {
		return nil, err
	}
	if err := suite.Allowed(false); err != nil {
		return nil, err
	}
	e, err := newEngine(suite, deriver{key: key, scope: &sc, suite: suite, salt: sc.Salt[:]})
	if err != nil {
		return nil, err
	}
	c := newSealer(suite, sc.additional(suite, keyLen), e)
	c.openOnly = suite.Allowed(true)
	return c, nil
}

// newEngine returns the engine of a valid suite.
func newEngine(suite Suite, d deriver) (engine, error) {
	switch suite {
	case SuiteGCM:
		return newGCMEngine(d)
	case SuiteCBC:
		return newCBCEngine(d)
	case SuiteXTS:
		return newXTSEngine(d)
	case SuiteNone:
		return noneEngine{}, nil
	}
	return nil, ErrSuite
}

// sealer is the Cipher of every suite: it checks batches, draws nonces, sums
// ciphertexts and collects errors around an engine.
type sealer struct {
	suite    Suite
	runBytes int          // at most this many in a run, or one block
	openOnly error        // why Seal refuses: FIPS mode; nil if it does not
	entropy  func([]byte) // fills with random bits; tests put a fixed stream here
	pool     sync.Pool    // of *scratch

	mu     sync.RWMutex // guards engine: Seal and Open hold it shared, Close alone
	engine engine       // nil once closed
}

var _ Cipher = (*sealer)(nil)

func newSealer(suite Suite, ad [adSize]byte, e engine) *sealer {
	c := &sealer{suite: suite, engine: e, entropy: systemEntropy}
	c.runBytes = runBytes
	if suite == SuiteCBC {
		c.runBytes = runBytesCBC
	}
	c.pool.New = func() any { return newScratch(ad) }
	return c
}

// systemEntropy never fails: crypto/rand ends the process instead.
func systemEntropy(b []byte) { _, _ = rand.Read(b) }

// Suite returns the suite.
func (c *sealer) Suite() Suite { return c.suite }

// Seal implements [Cipher].
func (c *sealer) Seal(batch []Block) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if err := c.admit(batch); err != nil {
		return refuse(batch, err)
	}
	if c.openOnly != nil {
		return refuse(batch, c.openOnly)
	}
	s := c.pool.Get().(*scratch)
	if !c.engine.drawsNonces() {
		c.draw(s, batch)
	}
	for len(batch) > 0 {
		n := nextRun(batch, c.runBytes)
		run := batch[:n]
		c.engine.seal(s, run)
		for i := range run {
			run[i].Err = nil
		}
		batch = batch[n:]
	}
	c.put(s)
	return nil
}

// Open implements [Cipher].
func (c *sealer) Open(batch []Block) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if err := c.admit(batch); err != nil {
		return refuse(batch, err)
	}
	for i := range batch {
		batch[i].Err = nil
	}
	s := c.pool.Get().(*scratch)
	for rest := batch; len(rest) > 0; {
		n := nextRun(rest, c.runBytes)
		c.engine.open(s, rest[:n])
		rest = rest[n:]
	}
	c.put(s)
	return failures(batch)
}

// Close implements [Cipher].
func (c *sealer) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine != nil {
		c.engine.close()
	}
	c.engine = nil
	c.pool = sync.Pool{} // scratch may hold keyed states
}

func (c *sealer) put(s *scratch) {
	s.trim()
	c.pool.Put(s)
}

// draw fills the nonces of a batch from one call to the system's generator.
// What it draws is used at once and never kept.
func (c *sealer) draw(s *scratch, batch []Block) {
	n := len(batch) * NonceSize
	if cap(s.nonces) < n {
		s.nonces = make([]byte, n)
	}
	nonces := s.nonces[:n]
	c.entropy(nonces)
	for i := range batch {
		batch[i].Nonce = [NonceSize]byte(nonces[i*NonceSize:])
	}
}

// admit checks the batch's buffers.
func (c *sealer) admit(batch []Block) error {
	if c.engine == nil {
		return ErrClosed
	}
	for i := range batch {
		b := &batch[i]
		n := len(b.Src)
		switch {
		case n == 0 || n%BlockUnit != 0 || n > MaxBlockSize:
			return fmt.Errorf("block %d of the batch has %d bytes: %w", i, n, ErrBlock)
		case len(b.Dst) != n:
			return fmt.Errorf("block %d of the batch has %d bytes in and %d out: %w", i, n, len(b.Dst), ErrBlock)
		case !sameOrApart(b.Src, b.Dst):
			return fmt.Errorf("block %d of the batch overlaps itself: %w", i, ErrBlock)
		}
	}
	return nil
}

// refuse marks every block with the error that keeps the batch from being worked on.
func refuse(batch []Block, err error) error {
	for i := range batch {
		batch[i].Err = err
	}
	return err
}

// failures returns nil, or a BatchError.
func failures(batch []Block) error {
	var first error
	failed := 0
	for i := range batch {
		if batch[i].Err == nil {
			continue
		}
		if failed == 0 {
			first = batch[i].Err
		}
		failed++
	}
	if failed == 0 {
		return nil
	}
	return &BatchError{Failed: failed, Total: len(batch), First: first}
}
