package bench

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Limits of what is measured.
const (
	maxBlock = 1 << 20 // bytes
	maxBatch = 64      // blocks
	// maxTogether bounds a batch in bytes: beyond it the memory is measured, not AES.
	maxTogether = 8 << 20
)

// An operation is a mode and a direction.
type operation struct {
	mode    string // "cbc", "xts" or "gcm"
	decrypt bool
}

var operations = map[string]operation{
	"cbc-encrypt": {"cbc", false}, "cbc-decrypt": {"cbc", true},
	"xts-encrypt": {"xts", false}, "xts-decrypt": {"xts", true},
	"gcm-seal": {"gcm", false}, "gcm-open": {"gcm", true},
}

// Operations lists what can be measured.
func Operations() []string {
	return []string{"cbc-encrypt", "cbc-decrypt", "xts-encrypt", "xts-decrypt", "gcm-seal", "gcm-open"}
}

func parseOperation(name string) (operation, error) {
	op, ok := operations[name]
	if !ok {
		return op, fmt.Errorf("bench: operation %q is none of %v: %w", name, Operations(), fault.Usage)
	}
	return op, nil
}

// has reports whether the operation takes keys of that many bits.
func (o operation) has(bits int) bool { return o.mode != "xts" || bits != 192 }

// An item is one measurement to be made.
type item struct {
	KernelResult
	bytes int     // of one call
	best  float64 // seconds a call, of the best sample; 0 before the first
}

// A task does one batch each time it is run.
type task struct {
	run     func()
	release func() // wipes keys; may be nil
}

// items lists the matrix without OpenSSL: every operation, key length, block
// size and batch, for each implementation, side by side.
func (m *matrix) items(impls []string) (all []item) {
	for _, name := range m.ops {
		for _, bits := range m.bits {
			if !operations[name].has(bits) {
				continue
			}
			for _, size := range m.sizes {
				for _, batch := range m.batches {
					if size*batch > maxTogether {
						continue
					}
					for _, impl := range impls {
						all = append(all, item{KernelResult: KernelResult{Op: name, Bits: bits, BlockSize: size, Batch: batch, Impl: impl}, bytes: size * batch})
					}
				}
			}
		}
	}
	return all
}
