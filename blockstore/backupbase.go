package blockstore

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cofferdb/coffer/internal/fault"
)

// baseGroups looks groups up in the list of a base, in ascending order.
type baseGroups struct {
	l     *lister // nil: there is no base
	group uint64
	hash  [32]byte
	have  bool // group and hash are those of an entry not yet passed
}

// find returns the hash that the base has for a group, nil where it has none.
func (c *baseGroups) find(g uint64) (*[32]byte, error) {
	if c.l == nil {
		return nil, nil
	}
	for !c.have || c.group < g {
		var ok bool
		var err error
		c.group, c.hash, ok, err = c.l.next()
		if err != nil {
			return nil, err
		}
		if c.have = ok; !ok {
			return nil, nil
		}
	}
	if c.group != g {
		return nil, nil
	}
	return &c.hash, nil
}

// openBase opens the base and checks that it is of this history.
func (b *backup) openBase() error {
	base, err := openBackup(b.s.opts.FS, b.o.Base)
	if err != nil {
		return fmt.Errorf("the base: %w", err)
	}
	path, err := filepath.Abs(b.o.Base)
	if err == nil && len(path) > maxBasePath {
		err = fmt.Errorf("the base's path has %d bytes, at most %d can be kept: %w", len(path), maxBasePath, fault.Usage)
	}
	if err == nil {
		err = b.s.precedes(base)
	}
	if err != nil {
		return errors.Join(err, base.close())
	}
	b.base, b.bases.l = base, base.list()
	b.start.base, b.start.basePath, b.start.baseHash, b.start.baseSeq = base.start.id, path, base.hash, base.start.from.Seq
	return nil
}

// precedes checks that what a backup holds is a past state of this volume: as an
// anchor of its end is checked. After a restore, blocks are sealed anew under the versions
// they had, so that only backups made since then will do.
func (s *Store) precedes(base *backupFile) error {
	refuse := func(err error, format string, args ...any) error {
		return fault.Hint(fmt.Errorf("the base, backup %v, does not fit: "+format+": %w", append(append([]any{base.start.id}, args...), err)...),
			"make a full backup, without a base")
	}
	l, h := s.label.Load(), base.start
	switch {
	case h.volume != l.volume:
		return refuse(fault.State, "it is of volume %v, this is %v", h.volume, l.volume)
	case h.blockSize != l.blockSize:
		return refuse(fault.State, "it has blocks of %d bytes", h.blockSize)
	case l.restored != 0 && h.session.ordinal < l.restored:
		return refuse(fault.State, "the volume was restored after it was made")
	case h.stream != l.stream:
		return refuse(fault.State, "the volume's journal was discarded after it was made")
	}
	end := s.journal.Durable()
	a := Anchor{h.volume, h.session.id, h.session.ordinal, base.finish.end.Seq, base.finish.end.Chain}
	if err := containsAnchor(l, end, nil, a); err != nil {
		return refuse(fault.State, "%s", err.Error()) // no claim that anything was altered
	}
	return nil
}
