package blockstore

import (
	"errors"
	"fmt"
	"os"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
)

// Open opens a volume: exclusively, or, with Options.ReadOnly, beside other
// readers. keys holds the keys that the volume and its journal need; it may be
// nil for a volume under suite none.
//
// A read-write open after a crash replays the journal and makes durable what
// it accepted before anything else; a read-only open replays into memory and
// writes nothing. A volume whose write key is activated for decryption only
// opens read-only. In FIPS mode a volume under aes-xts is refused with
// [ErrUnsupported], and one under aes-cbc can only be read and converted.
func Open(path string, keys *dek.Keyring, o *Options) (*Store, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	path = fsx.Resolve(opts.FS, path)
	if err := fips.Start(opts.Logger); err != nil {
		return nil, fmt.Errorf("blockstore: open: %w", err)
	}
	file, err := openLocked(opts.FS, path, opts.ReadOnly)
	if err != nil {
		return nil, err
	}
	s, err := openStore(path, file, keys, opts)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// openLocked opens and locks the file that path names.
func openLocked(fsys fsx.FS, path string, readOnly bool) (fsx.File, error) {
	flag, mode := os.O_RDWR, fsx.Exclusive
	if readOnly {
		flag, mode = os.O_RDONLY, fsx.Shared
	}
	f, err := fsx.OpenLocked(fsys, path, flag, 0, mode)
	if errors.Is(err, fault.InUse) {
		return nil, fault.Hint(fmt.Errorf("blockstore: %w", err), "another process, or another Store in this one, has the volume open")
	}
	if err != nil {
		return nil, fmt.Errorf("blockstore: open: %w", err)
	}
	return f, nil
}

// openStore is the list of steps of an open.
func openStore(path string, file fsx.File, keys *dek.Keyring, opts Options) (_ *Store, err error) {
	copies, err := readLabels(file)
	if err != nil {
		return nil, err
	}
	l, err := copies.choose()
	if err != nil {
		return nil, err
	}
	if err := checkPolicy(l, &opts); err != nil {
		return nil, err
	}
	s := new(Store)
	s.init(path, file, keys, opts, l)
	defer func() {
		if err != nil {
			s.stop()
			s.ciphers.close()
			err = errors.Join(err, s.spill.close())
		}
	}()
	if err := s.authenticate(copies.rawOf(l), l); err != nil {
		return nil, err
	}
	s.firstCopy = copies.first()
	for i, p := range copies.problems() {
		if p != "" {
			opts.Logger.Warn("coffer: a copy of the label is not what it should be", "volume", l.volume.String(), "copy", i+1, "problem", p)
		}
	}
	rec, err := s.recover(l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeRecovered(rec)) }()
	if err := s.checkAnchor(l, rec); err != nil {
		return nil, err
	}
	if s.opts.ReadOnly {
		return s, nil
	}
	if err := s.mayBegin(l); err != nil {
		return nil, err
	}
	if err := s.begin(l, rec); err != nil {
		return nil, err
	}
	if !s.opts.Tune.Inline {
		s.done.Go(s.run)
	}
	return s, nil
}

// mayBegin refuses, before anything is written, what would fail later: a file
// that is cut short in its labels or does not hold the root its label names,
// and a journal key that may not seal. A read-only open goes without, so that a
// verification can say what is left.
func (s *Store) mayBegin(l *label) error {
	size, err := s.file.Size()
	if err != nil {
		return fmt.Errorf("blockstore: size: %w", err)
	}
	if size < dataStart {
		return fmt.Errorf("blockstore: the file ends at %d, inside the labels: %w", size, fault.Both(fault.Tampered, fault.Damaged))
	}
	if _, err := s.meta.get(metaKey{s.meta.height, 0}); err != nil {
		return err
	}
	if l.journalKey.IsZero() {
		return nil
	}
	return withKey(s.keys, l.journalKey, func(*dek.Key) error { return nil })
}

func closeRecovered(r *replay) error {
	if r.recovered == nil {
		return nil
	}
	return r.recovered.Close()
}

// checkPolicy refuses what the opener did not ask for. It looks at the label
// before it is authenticated and only ever refuses.
func checkPolicy(l *label, o *Options) error {
	if !o.ExpectUUID.IsZero() && o.ExpectUUID != l.volume {
		return fmt.Errorf("blockstore: the volume is %v, expected was %v: %w", l.volume, o.ExpectUUID, fault.Tampered)
	}
	mac := &l.slots[l.macSlot]
	if mac.suite == seal.SuiteNone && !o.AllowPlain {
		return ErrPlain
	}
	if !o.ExpectKey.IsZero() && o.ExpectKey != l.write().key {
		return fmt.Errorf("blockstore: the volume's write key is %v, expected was %v: %w", l.write().key, o.ExpectKey, fault.Tampered)
	}
	return checkMode(l, o)
}

// authenticate takes the keys of all slots and checks the label's MAC.
func (s *Store) authenticate(raw []byte, l *label) error {
	if err := s.ciphers.lease(l.macSlot, &l.slots[l.macSlot]); err != nil {
		return err
	}
	if err := checkMAC(raw, l, s.ciphers.key(l.macSlot)); err != nil {
		return err
	}
	for i := range l.slots {
		ks := &l.slots[i]
		if ks.state != slotLive {
			continue
		}
		if err := s.ciphers.take(uint8(i), ks, l.volume); err != nil {
			return err
		}
	}
	w := l.clone()
	w.stepBack()
	if !s.opts.ReadOnly && s.ciphers.decryptOnly(w.writeSlot) {
		s.opts.ReadOnly = true
		s.opts.Logger.Warn("coffer: opened read-only, the write key is activated for decryption only", "volume", l.volume.String(), "key", l.write().key.String())
	}
	return nil
}
