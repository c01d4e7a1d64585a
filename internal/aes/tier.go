package aes

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// A Tier is one set of kernels. Higher is faster.
type Tier uint8

// The tiers. There is no kernel for AVX2 registers with VAES yet: such processors take AESNI.
const (
	_        Tier = iota // no tier
	Portable             // Go's crypto/aes
	AESNI                // AES-NI, SSE4.2 and PCLMULQDQ on 128-bit registers
	VAES512              // VAES, VPCLMULQDQ and AVX-512 (F, BW, DQ, VL) on 512-bit registers
)

// EnvTier is the environment variable that forces a lower tier: the String of one.
const EnvTier = "COFFER_AES"

var tierNames = [...]string{Portable: "portable", AESNI: "aesni", VAES512: "vaes512"}

// String returns the name that COFFER_AES and benchmarks use, as "vaes512".
func (t Tier) String() string {
	if t == 0 || int(t) >= len(tierNames) {
		return fmt.Sprintf("tier(%d)", uint8(t))
	}
	return tierNames[t]
}

// ParseTier is the inverse of String; it fails with [ErrTier].
func ParseTier(name string) (Tier, error) {
	if i := slices.Index(tierNames[:], name); i > 0 {
		return Tier(i), nil
	}
	return 0, fmt.Errorf("%w: %q is none of %v", ErrTier, name, tierNames[Portable:])
}

// Available returns the tiers that this processor and build have, lowest first,
// whatever COFFER_AES says. Portable is always among them.
func Available() []Tier { return append([]Tier{Portable}, detected()...) }

// environment holds what COFFER_AES makes of the available tiers, read once.
var environment = sync.OnceValues(func() (Tier, error) {
	t, err := fromEnvironment(os.Getenv(EnvTier), Available())
	if err != nil {
		slog.Warn("coffer: "+EnvTier+" is ignored", "error", err, "using", t)
	}
	return t, err
})

// fromEnvironment returns the tier for a value of COFFER_AES; with an error, the best one.
func fromEnvironment(value string, available []Tier) (Tier, error) {
	best := slices.Max(available)
	if value == "" {
		return best, nil
	}
	t, err := ParseTier(value)
	if err == nil && !slices.Contains(available, t) {
		err = fmt.Errorf("%w: this processor or build has no %v", ErrTier, t)
	}
	if err != nil {
		return best, fmt.Errorf("aes: environment variable %s: %w", EnvTier, err)
	}
	return t, nil
}

// CheckEnvironment returns an [ErrTier] when COFFER_AES names no tier of this
// machine. Best then logs that once and ignores the variable; a program may
// rather refuse to start.
func CheckEnvironment() error {
	_, err := environment()
	return err
}

// forced is the tier that a test has forced, or 0.
var forced atomic.Uint32

// Best returns the tier that new keys get: the highest available, or what
// COFFER_AES says.
func Best() Tier {
	if t := forced.Load(); t != 0 {
		return Tier(t)
	}
	t, _ := environment()
	return t
}

// Force makes t what Best returns until restore is called. It is for tests and
// benchmarks, which run for every one of Available; keys made before keep their tier.
// It is global, hence not for parallel tests. It panics when t is not available.
func Force(t Tier) (restore func()) {
	if !slices.Contains(Available(), t) {
		panic(fmt.Errorf("%w: %v", ErrTier, t))
	}
	before := forced.Swap(uint32(t))
	return func() { forced.Store(before) }
}
