package aes

// A CBC is AES-CBC (SP 800-38A, section 6.2) without padding.
type CBC struct{ key *Key }

// NewCBC expands a key of 16, 24 or 32 bytes; raw is not kept. It fails with [ErrKey].
func NewCBC(raw []byte) (*CBC, error) {
	k, err := NewKey(raw)
	if err != nil {
		return nil, err
	}
	return &CBC{k}, nil
}

// Close wipes the key. It may be called again, and on nil.
func (c *CBC) Close() {
	if c != nil {
		c.key.Close()
	}
}

// EncryptBatch encrypts every job. Up to 32 jobs run side by side; a single one
// is bound by the latency of its chain.
func (c *CBC) EncryptBatch(jobs []Job) {
	checkJobs(jobs)
	if c.key.tier == Portable {
		c.key.cbcEncryptPortable(jobs)
		return
	}
	c.key.cbcEncryptAsm(jobs)
}

// DecryptBatch is the inverse of EncryptBatch.
func (c *CBC) DecryptBatch(jobs []Job) {
	checkJobs(jobs)
	if c.key.tier == Portable {
		c.key.cbcDecryptPortable(jobs)
		return
	}
	c.key.cbcDecryptAsm(jobs)
}
