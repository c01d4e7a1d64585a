package fsx

import (
	"errors"
	"path"
	"slices"
	"syscall"
)

// OpKind is a kind of operation on a Mem.
type OpKind uint8

// The kinds. The zero OpKind is invalid. All but OpRead are mutating: they are
// counted, and a power cut can be placed before each.
const (
	OpRead OpKind = iota + 1
	OpWrite
	OpSync
	OpSyncData
	OpTruncate
	OpAllocate
	OpCreate // of a file, by Open or TempFile
	OpRename
	OpRemove
	OpMkdir
	OpSyncDir
)

var opNames = [...]string{"invalid", "read", "write", "sync", "syncdata", "truncate", "allocate",
	"create", "rename", "remove", "mkdir", "syncdir"}

func (k OpKind) String() string {
	if int(k) < len(opNames) {
		return opNames[k]
	}
	return opNames[0]
}

// writes says whether a handle must be open for writing.
func (k OpKind) writes() bool { return k == OpWrite || k == OpTruncate || k == OpAllocate }

// Op is an operation that is about to happen.
type Op struct {
	Index   int // how many mutating operations were begun before
	Kind    OpKind
	Name    string // as given to Open or to the call
	NewName string // of a rename
	Off     int64  // of reads, writes, allocations; the size for a truncation
	Len     int    // bytes, of reads, writes, allocations
}

// Fault is an error to be injected.
type Fault struct {
	Kind OpKind // OpSync stands for both syncs of a file
	Nth  int    // the first matching operation to fail, counted from Inject on; 0 is 1
	Err  error  // nil is syscall.EIO
	Name string // a path.Match pattern for the whole cleaned name ("/dir/file") or the base name; "" is all
	Once bool   // only the n-th fails; else every one from the n-th on

	// TornBytes of a failing write are written first, of a failing read are read.
	TornBytes int
}

// inject is the part of a Mem that makes operations fail. Mem.mu guards it.
type inject struct {
	dead       error // the process was killed
	ops        int
	cutLeft    int // mutating operations until the power goes; -1: it stays
	hook       func(Op) error
	faults     []*armed
	misdirects []*misdirect
}

type armed struct {
	Fault
	seen int
}

type misdirect struct {
	left  int
	delta int64
}

func (in *inject) reset() { *in = inject{cutLeft: -1} }

// SetHook makes hook run before every operation listed at OpKind; nil takes it
// away. An error makes the operation fail with it and not happen; a sync that
// fails so leaves its file as a failed sync does. hook runs under the lock of
// the Mem: of all its methods it may call CrashInHook and KillInHook only.
func (m *Mem) SetHook(hook func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// Inject arms a fault. Several may be armed; the first that matches is it.
func (m *Mem) Inject(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.Nth = max(1, f.Nth)
	if f.Err == nil {
		f.Err = syscall.EIO
	}
	m.faults = append(m.faults, &armed{Fault: f})
}

// ClearFaults disarms all faults and misdirections.
func (m *Mem) ClearFaults() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults, m.misdirects = nil, nil
}

// Misdirect makes the n-th write from now on (from 1) land delta bytes from
// where it should, in the same file, and report success. It never lands before
// the start of the file.
func (m *Mem) Misdirect(nth int, delta int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.misdirects = append(m.misdirects, &misdirect{left: max(1, nth), delta: delta})
}

// Ops returns how many mutating operations were begun.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// CutAfter lets k more mutating operations begin; from then on every operation
// fails with ErrPowerCut, and only Crash (or Kill) goes on. A negative k means
// that the power stays.
func (m *Mem) CutAfter(k int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutLeft = max(-1, k)
}

func (in *inject) alive() error {
	if in.cutLeft == 0 {
		return ErrPowerCut
	}
	return in.dead
}

// begin counts an operation and says whether it may happen.
func (in *inject) begin(op Op) error {
	if err := in.alive(); err != nil {
		return err
	}
	op.Index = in.ops
	if op.Kind != OpRead {
		in.ops++
	}
	err := in.refused(op)
	if op.Kind != OpRead && in.cutLeft > 0 {
		in.cutLeft--
	}
	return err
}

func (in *inject) refused(op Op) error {
	if in.hook != nil {
		if err := in.hook(op); err != nil {
			return err
		}
	}
	for _, a := range in.faults {
		if !a.matches(op) {
			continue
		}
		if a.seen++; a.seen == a.Nth || a.seen > a.Nth && !a.Once {
			return &faultError{a.Err, a.TornBytes}
		}
	}
	return nil
}

func (f *Fault) matches(op Op) bool {
	if f.Kind != op.Kind && !(f.Kind == OpSync && op.Kind == OpSyncData) {
		return false
	}
	if f.Name == "" {
		return true
	}
	names := []string{op.Name}
	if op.NewName != "" {
		names = append(names, op.NewName)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		whole, _ := path.Match(f.Name, clean(name))
		base, _ := path.Match(f.Name, path.Base(clean(name)))
		return whole || base
	})
}

// misdirected returns where a write to off lands.
func (in *inject) misdirected(off int64) int64 {
	lands := off
	in.misdirects = slices.DeleteFunc(in.misdirects, func(d *misdirect) bool {
		if d.left--; d.left == 0 {
			lands = max(0, off+d.delta)
		}
		return d.left == 0
	})
	return lands
}

// faultError is an injected error on its way to the operation.
type faultError struct {
	error
	torn int
}

func (e *faultError) Unwrap() error { return e.error }

func tornBytes(err error) (int, bool) {
	var f *faultError
	if errors.As(err, &f) && f.torn > 0 {
		return f.torn, true
	}
	return 0, false
}
