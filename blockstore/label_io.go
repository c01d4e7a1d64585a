package blockstore

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// labelCopies are both copies as they were found.
type labelCopies struct {
	raw [2][]byte
	l   [2]*label
	err [2]error
}

var labelOffsets = [2]int64{0, labelTwo}

// readLabels reads both copies. A read error that is not the end of the file is returned.
func readLabels(f fsx.File) (labelCopies, error) {
	c, failed := tryLabels(f)
	return c, errors.Join(failed[:]...)
}

// tryLabels reads both copies. One that the disk does not give counts as not
// intact, and the disk's error is returned for it.
func tryLabels(f fsx.File) (c labelCopies, failed [2]error) {
	for i, off := range labelOffsets {
		b := make([]byte, labelSize)
		n, err := f.ReadAt(b, off)
		if err != nil && !errors.Is(err, io.EOF) {
			failed[i] = fmt.Errorf("blockstore: read label %d: %w", i+1, err)
			c.err[i] = failed[i]
			continue
		}
		c.raw[i] = b[:n]
		if n < labelSize && string(b[:min(n, 8)]) == labelMagic {
			c.err[i] = fmt.Errorf("blockstore: label %d is cut short: %w", i+1, fault.Damaged)
			continue
		}
		c.l[i], c.err[i] = decodeLabel(b[:n])
	}
	return c, failed
}

// choose returns the newest copy that is intact. A crash leaves them one
// generation apart at most; verification reports more. A copy in a format
// version that is not known rules: the other one would be an older state.
func (c *labelCopies) choose() (*label, error) {
	a, b := c.l[0], c.l[1]
	switch {
	case a == nil && b == nil, errors.Is(c.err[0], fault.Version), errors.Is(c.err[1], fault.Version):
		return nil, c.none()
	case a == nil:
		return b, nil
	case b == nil:
		return a, nil
	case a.volume != b.volume:
		return nil, fmt.Errorf("blockstore: the copies of the label are of different volumes: %w", fault.Tampered)
	case a.generation == b.generation:
		if string(c.raw[0]) != string(c.raw[1]) {
			return nil, fmt.Errorf("blockstore: the copies of the label differ under one generation: %w", fault.Tampered)
		}
		return a, nil
	case a.generation > b.generation:
		return a, nil
	default:
		return b, nil
	}
}

func (c *labelCopies) none() error {
	for _, marker := range []error{fault.Version, fault.Damaged} {
		for _, err := range c.err {
			if errors.Is(err, marker) {
				return err
			}
		}
	}
	return c.err[0]
}

// problems describes what is wrong with the copies, one line each, empty for an intact one.
func (c *labelCopies) problems() [2]string {
	var out [2]string
	for i := range c.l {
		switch other := c.l[1-i]; {
		case c.err[i] != nil:
			out[i] = c.err[i].Error()
		case other != nil && c.l[i].generation+1 < other.generation:
			out[i] = "older than a crash can leave it"
		}
	}
	return out
}

// first returns the copy to be written first. One that is not intact, or else
// the newer one, or of two of one generation the one that was written last: of
// these it is not known that they ever left the cache of a system whose process
// was killed. The other one is durable, and nothing it needs has been removed.
func (c *labelCopies) first() int {
	a, b := c.l[0], c.l[1]
	switch {
	case a == nil:
		return 0
	case b == nil:
		return 1
	case a.generation != b.generation:
		if a.generation > b.generation {
			return 0
		}
		return 1
	case a.backwards:
		return 0
	default:
		return 1
	}
}

// rawOf returns the bytes of the copy that l was decoded from.
func (c *labelCopies) rawOf(l *label) []byte {
	if c.l[0] == l {
		return c.raw[0]
	}
	return c.raw[1]
}

// checkMAC tells an altered label from a wrong key under the right ID.
func checkMAC(raw []byte, l *label, key *dek.Key) error {
	ks := &l.slots[l.macSlot]
	want, err := seal.LabelMAC(key, l.volume, raw[:offLabelMAC])
	if err != nil {
		return fmt.Errorf("blockstore: MAC of the label: %w", err)
	}
	if subtle.ConstantTimeCompare(want[:], raw[offLabelMAC:offLabelMAC+32]) == 1 {
		return nil
	}
	if key != nil && key.CheckValue(l.volume[:]) != ks.check {
		return fault.Hint(fmt.Errorf("blockstore: the key activated as %v is not the one the volume was written under: %w", ks.key, fault.WrongKey),
			"activate the key from the key file it was made in")
	}
	return fmt.Errorf("blockstore: the label does not authenticate: %w", fault.Tampered)
}

// writeLabel makes next the durable label: generation, MAC, one copy, sync, the
// other copy, sync. The first copy goes first, except in an open's first write:
// see [labelCopies.first]. ckptMu is held. After an error nothing is known about
// which label a later open finds, so writes stop.
func (s *Store) writeLabel(next *label) error {
	next.generation = s.label.Load().generation + 1
	if s.journal != nil { // what is known to be there cannot be taken away behind this label
		d := s.journal.Durable()
		next.mustReach, next.durableThrough = max(next.mustReach, d.Segment), max(next.durableThrough, d.Seq)
	}
	next.backwards = s.firstCopy == 1
	raw := next.encode()
	if err := signLabel(raw, s.ciphers.key(next.macSlot), s.volume); err != nil {
		return s.fail(err)
	}
	if _, err := decodeLabel(raw); err != nil {
		return s.fail(fmt.Errorf("blockstore: refused to write a malformed label: %w", err))
	}
	for _, i := range [2]int{s.firstCopy, 1 - s.firstCopy} {
		if _, err := s.file.WriteAt(raw, labelOffsets[i]); err != nil {
			return s.fail(fmt.Errorf("blockstore: write label %d: %w", i+1, err))
		}
		if err := s.file.SyncData(); err != nil {
			return s.fail(fmt.Errorf("blockstore: sync label %d: %w", i+1, err))
		}
	}
	s.firstCopy = 0
	s.label.Store(next)
	s.stats.labels.Add(1)
	if s.journal != nil {
		s.journal.SetGeneration(next.generation)
	}
	return nil
}
