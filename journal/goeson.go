package journal

import (
	"errors"
	"io/fs"
)

// GoesOn reports whether the folder holds frames of the stream behind at. It
// goes by checksums, needs no key and writes nothing; slots that cannot be read
// say nothing. A caller whose own state says that no journal is needed learns
// from it that an older state was put back.
func GoesOn(o Options, at Position) (bool, error) {
	o, err := o.check()
	if err != nil {
		return false, err
	}
	slots, err := readFolder(o.FS, o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer closeFound(slots)
	for _, s := range slots {
		if s.err != nil || !s.hdr.ours(&o) || s.hdr.number < at.Segment {
			continue
		}
		last, err := lastFrame(s)
		if err != nil {
			return false, err
		}
		if last > at.Seq {
			return true, nil
		}
	}
	return false, nil
}
