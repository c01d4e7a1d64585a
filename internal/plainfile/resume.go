package plainfile

import (
	"errors"
	"fmt"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
)

// volume opens the volume that an interrupted run left, or creates one. A left
// one that cannot be used, or is not what was asked for, is thrown away: the
// old file is whole.
func (e *encryptor) volume(size int64) (s *blockstore.Store, fresh bool, err error) {
	_, there, err := exists(e.fs, e.beside)
	if err != nil {
		return nil, false, err
	}
	if there {
		s, why := e.reopen()
		switch {
		case why == nil:
			return s, false, nil
		case !unusable(why):
			return nil, false, fmt.Errorf("plainfile: the volume that an interrupted run left: %w", why)
		}
		e.o.note("what an interrupted run left is not used (" + why.Error() + "): starting again")
		if err := discard(e.fs, e.beside); err != nil {
			return nil, false, err
		}
	}
	if err := removeJournal(e.fs, e.beside); err != nil {
		return nil, false, err
	}
	s, err = blockstore.Create(e.beside, e.keys, blockstore.CreateOptions{
		Options: e.options(), Size: size, BlockSize: e.blockSize(), Suite: e.o.Suite, Key: e.o.Key,
	})
	return s, true, err
}

// errOther: the half-built volume is not the one that is asked for now.
var errOther = errors.New("plainfile: it was begun with another suite, key or block size")

// reopen opens the half-built volume if it is one, and the one asked for.
func (e *encryptor) reopen() (*blockstore.Store, error) {
	opts := e.options()
	info, err := blockstore.Inspect(e.beside, &opts)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Encrypted,
		info.Conversion != nil,
		e.o.Suite != 0 && e.o.Suite.String() != info.Suite,
		!e.o.Key.IsZero() && e.o.Key != info.WriteKey,
		e.o.BlockSize != 0 && e.o.BlockSize != info.BlockSize,
		e.src.page != 0 && e.blockSize() != info.BlockSize:
		return nil, errOther
	}
	return blockstore.Open(e.beside, e.keys, &opts)
}

// unusable says whether a half-built file should be thrown away for err: it
// cannot be read, now or ever. Anything else (in use, no permission, I/O) is
// for people to see.
func unusable(err error) bool {
	for _, m := range []error{
		errOther, fault.NotFormat, fault.Version, fault.Damaged, fault.Tampered,
		fault.NotActivated, fault.WrongKey, fault.TooOld,
	} {
		if errors.Is(err, m) {
			return true
		}
	}
	return errors.Is(err, fault.State) && !errors.Is(err, fault.InUse)
}
