package blockstore

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// checkMode refuses what FIPS mode does not let this process do with a volume:
// one with blocks under a suite that may not even be opened (aes-xts), and, read-write,
// one whose journal holds blocks that would have to be sealed under a suite
// that only opens (aes-cbc). A clean volume of the latter kind opens: it takes
// no writes, but can be converted.
func checkMode(l *label, o *Options) error {
	for i := range l.slots {
		if k := &l.slots[i]; k.state == slotLive {
			if err := k.suite.Allowed(false); err != nil {
				return fmt.Errorf("blockstore: the volume has blocks under %w", err)
			}
		}
	}
	if err := l.write().suite.Allowed(true); err != nil && !o.ReadOnly && !l.clean {
		return fault.Hint(fmt.Errorf("blockstore: the volume was not closed cleanly, and to recover it needs %w", err),
			"Open it read-only, or once outside FIPS mode.")
	}
	return nil
}

// sealable returns why no block can be sealed under the write key's suite in
// this process, or nil.
func (s *Store) sealable() error {
	err := s.label.Load().write().suite.Allowed(true)
	if err == nil {
		return nil
	}
	return fault.Hint(fmt.Errorf("blockstore: the volume takes no writes: %w", err),
		"Convert it to suite aes-gcm: coffer rekey --cipher aes-gcm.")
}

// mayConvertTo refuses a suite that FIPS mode does not seal under.
func mayConvertTo(suite Suite) error {
	if err := suite.Allowed(true); err != nil {
		return fmt.Errorf("blockstore: convert: %w", err)
	}
	return nil
}
