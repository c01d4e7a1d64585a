package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/fault"
)

// The implementations beside the tiers of internal/aes (vaes512, vaes256, aesni, portable).
const (
	ImplGo      = "go"      // crypto/aes and crypto/cipher; golang.org/x/crypto/xts
	ImplOpenSSL = "openssl" // openssl speed, where it is installed
)

// KernelOptions of a run. The zero value is the default run.
type KernelOptions struct {
	// Full measures the whole matrix: 512 bytes to 1 MiB, batches of 1 to 64,
	// OpenSSL for every key length. It takes some minutes. Otherwise 512, 8,192 and
	// 65,536 bytes, batches of 1 and 64, and OpenSSL for 256 bits, within 45 s.
	Full bool
	// Budget is how long the run may take, OpenSSL included; 0 is 38 s, or 10 min with Full.
	Budget time.Duration
	// Ops, Bits, Sizes and Batches, where not nil, are measured instead of the default.
	Ops                  []string
	Bits, Sizes, Batches []int
	// NoOpenSSL leaves OpenSSL out.
	NoOpenSSL bool
	// Progress, if not nil, is told what is measured.
	Progress func(what string)
}

// A KernelReport is the result of a run.
type KernelReport struct {
	// LimitGBs is the best of several runs of AES-256 on registers on the best tier, in GB/s; 0 where there is no assembler.
	LimitGBs float64 `json:"limit_gb_s"`
	// Limits are those of every tier and key length.
	Limits []KernelLimit `json:"limits"`
	// Results, in the order of measuring.
	Results []KernelResult `json:"results"`
}

// A KernelLimit is what the registers of a tier can do.
type KernelLimit struct {
	Impl string  `json:"impl"`
	Bits int     `json:"bits"` // of the key
	GBs  float64 `json:"gb_s"`
}

// A KernelResult is one measurement.
type KernelResult struct {
	Op        string  `json:"op"` // one of Operations
	Bits      int     `json:"bits"`
	BlockSize int     `json:"block_size"` // bytes
	Batch     int     `json:"batch"`      // blocks handed over at once
	Impl      string  `json:"impl"`
	GBs       float64 `json:"gb_s"`
	// Share of the limit of its own tier and key length; for implementations that
	// are no tier with registers of its own, of the best tier's.
	Share float64 `json:"share"`
}

// Kernels measures AES. It is refused in FIPS mode, which the kernels are no part of.
func Kernels(ctx context.Context, o KernelOptions) (*KernelReport, error) {
	if err := fips.Start(nil); err != nil {
		return nil, fmt.Errorf("bench: kernels: %w", err)
	}
	if fips.LibraryOnly() {
		return nil, fault.Hint(fmt.Errorf("bench: kernels: %w", fips.ErrNotApproved), "Run it without FIPS mode.")
	}
	m, err := o.matrix()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // one core, as far as the system allows
	defer runtime.UnlockOSThread()
	r := newKernelRun(o, m)
	if err := errors.Join(r.openssl(ctx), r.measure(ctx)); err != nil {
		return nil, err
	}
	return r.report(), nil
}

// matrix is what is measured.
type matrix struct {
	ops                  []string
	bits, sizes, batches []int
	opensslBits          []int
	budget               time.Duration
}

func (o *KernelOptions) matrix() (matrix, error) {
	m := matrix{Operations(), []int{128, 192, 256}, []int{512, 8192, 65536}, []int{1, 64}, []int{256}, 38 * time.Second}
	if o.Full {
		m.sizes = []int{512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 1 << 20}
		m.batches, m.opensslBits, m.budget = []int{1, 2, 4, 8, 16, 32, 64}, m.bits, 10*time.Minute
	}
	if o.Ops != nil {
		m.ops = o.Ops
	}
	if o.Bits != nil {
		m.bits, m.opensslBits = o.Bits, o.Bits
	}
	if o.Sizes != nil {
		m.sizes = o.Sizes
	}
	if o.Batches != nil {
		m.batches = o.Batches
	}
	if o.NoOpenSSL {
		m.opensslBits = nil
	}
	if o.Budget != 0 {
		m.budget = o.Budget
	}
	return m, m.check()
}

func (m *matrix) check() error {
	for _, op := range m.ops {
		if _, err := parseOperation(op); err != nil {
			return err
		}
	}
	for _, n := range m.bits {
		if n != 128 && n != 192 && n != 256 {
			return fmt.Errorf("bench: keys of %d bits: %w", n, fault.Usage)
		}
	}
	for _, n := range m.sizes {
		if n <= 0 || n%aes.BlockSize != 0 || n > maxBlock {
			return fmt.Errorf("bench: blocks of %d bytes: %w", n, fault.Usage)
		}
	}
	for _, n := range m.batches {
		if n <= 0 || n > maxBatch {
			return fmt.Errorf("bench: batches of %d: %w", n, fault.Usage)
		}
	}
	return nil
}
