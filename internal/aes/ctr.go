package aes

// A CTR is AES in counter mode (SP 800-38A, section 6.5); the counter is the
// whole block, 128 bits big-endian, as in crypto/cipher.
type CTR struct{ key *Key }

// NewCTR expands a key of 16, 24 or 32 bytes; raw is not kept. It fails with [ErrKey].
func NewCTR(raw []byte) (*CTR, error) {
	k, err := NewKey(raw)
	if err != nil {
		return nil, err
	}
	return &CTR{k}, nil
}

// Close wipes the key. It may be called again, and on nil.
func (c *CTR) Close() {
	if c != nil {
		c.key.Close()
	}
}

// XORBatch encrypts or decrypts every job, whose IV is its first counter block.
// Lengths need not be multiples of 16.
func (c *CTR) XORBatch(jobs []Job) {
	for i := range jobs {
		checkAlias(jobs[i].Dst, jobs[i].Src)
	}
	if c.key.tier == Portable {
		c.key.ctrPortable(jobs)
		return
	}
	for i := range jobs {
		c.key.ctrAsm(&jobs[i])
	}
}
