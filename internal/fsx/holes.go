package fsx

// holes is what a File implements that knows where it has holes.
type holes interface {
	// nextData returns the first offset from off on at which there is data; ok
	// is false where up to the end there is none. It may call a hole data, never data a hole.
	nextData(off int64) (next int64, ok bool)
}

// NextData returns the first offset from off on at which f may hold anything but
// zeros; ok is false where up to its end it holds none. Where the system does not say
// (only Linux does) that is off itself, whatever lies there.
func NextData(f File, off int64) (next int64, ok bool) {
	if h, is := f.(holes); is {
		return h.nextData(off)
	}
	return off, true
}
