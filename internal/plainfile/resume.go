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
	kind, err := e.host.left(e.beside, e.path)
	if err != nil {
		return nil, false, err
	}
	if kind != leftNothing {
		s, why := e.reopen(kind)
		switch {
		case why == nil:
			return s, false, e.made(s)
		case !unusable(why):
			return nil, false, fmt.Errorf("plainfile: the volume that an interrupted run left: %w", why)
		}
		e.o.Options.note("what an interrupted run left is not used (" + why.Error() + "): starting again")
		if err := e.startAgain(); err != nil {
			return nil, false, err
		}
	}
	if err := removeJournal(e.fs, e.beside); err != nil {
		return nil, false, err
	}
	s, err = blockstore.Create(e.beside, e.keys, blockstore.CreateOptions{
		Options: e.options(), Size: size, BlockSize: e.blockSize(), Suite: e.o.Suite, Key: e.o.Key,
	})
	if err != nil {
		return nil, true, err
	}
	return s, true, e.made(s)
}

// made notes which volume is being built. On failure it closes it.
func (e *encryptor) made(s *blockstore.Store) error {
	if e.job.volume == s.UUID() {
		return nil
	}
	if err := e.note(job{jobEncrypt, s.UUID()}); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// errOther: the half-built volume is not the one that is asked for now.
var errOther = errors.New("plainfile: it was begun with another suite, key or block size")

// errFinished: the half-built file has its final mode, with which it may not be
// opened for writing.
var errFinished = errors.New("plainfile: it was about to be renamed")

// reopen opens the half-built volume if it is one, and the one asked for.
func (e *encryptor) reopen(kind leftover) (*blockstore.Store, error) {
	if err := e.mine(*e.job, kind); err != nil {
		return nil, err
	}
	if kind == leftFinished {
		return nil, errFinished
	}
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
		errOther, errFinished, fault.NotFormat, fault.Version, fault.Damaged, fault.Tampered,
		fault.NotActivated, fault.WrongKey, fault.TooOld,
	} {
		if errors.Is(err, m) {
			return true
		}
	}
	return errors.Is(err, fault.State) && !errors.Is(err, fault.InUse) && !errors.Is(err, ErrInTheWay)
}
