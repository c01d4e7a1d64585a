package blockstore

import (
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/seal"
	"github.com/cofferdb/coffer/internal/tune"
)

// Suite is a cipher suite for blocks. Every suite is authenticated.
type Suite = seal.Suite

// The suites. The zero Suite is invalid; where a default applies it means AESGCM.
const (
	AESGCM = seal.SuiteGCM  // AES-GCM, the default
	AESCBC = seal.SuiteCBC  // AES-CBC with GMAC over the ciphertext
	AESXTS = seal.SuiteXTS  // AES-XTS with GMAC over the ciphertext; no 192-bit form
	None   = seal.SuiteNone // not encrypted, integrity only; see [Options.AllowPlain]
)

// ParseSuite reads a suite's name: aes-gcm, aes-cbc, aes-xts or none.
func ParseSuite(name string) (Suite, error) { return seal.ParseSuite(name) }

// Defaults of [Options], in bytes.
const (
	DefaultCacheBytes      = 64 << 20
	DefaultCheckpointBytes = 64 << 20
	DefaultSegmentBytes    = 16 << 20
)

// Options of an open volume. The zero value is ready to use.
type Options struct {
	// FS is the file system; nil is the operating system's.
	FS fsx.FS
	// ReadOnly opens without the right to change anything: nothing is written,
	// even after a crash. Other readers may have the volume open at the same time.
	ReadOnly bool
	// AllowPlain permits a volume under suite none. Without it such a volume is
	// refused with [ErrPlain], whatever its file says.
	AllowPlain bool
	// ExpectUUID, ExpectKey and ExpectAnchor, where set, refuse any other
	// volume, write key or history.
	ExpectUUID   UUID
	ExpectKey    dek.ID
	ExpectAnchor *Anchor
	// DiscardJournal opens a volume whose journal is missing, damaged or at odds
	// with it as of its last checkpoint. Commits after that are lost.
	DiscardJournal bool
	// CacheBytes bounds clean pages in memory, at least 16 blocks; 0 is [DefaultCacheBytes].
	CacheBytes int64
	// CheckpointBytes is how much redo starts a checkpoint; 0 is [DefaultCheckpointBytes].
	// Twice as much makes writers wait.
	CheckpointBytes int64
	// SegmentBytes is the size of a journal segment, 64 KiB to 1 GiB; 0 is [DefaultSegmentBytes].
	SegmentBytes int64
	// RetainSegments is how many journal segments that recovery no longer needs
	// are kept for roll-forward, while this store is open; -1 keeps all, 0 as many as the
	// volume says: see [Store.SetRetention].
	RetainSegments int
	// Workers is how many goroutines seal and open batches; 0 is GOMAXPROCS.
	Workers int
	// Logger takes warnings and events; nil discards them. No key, password or plaintext reaches it.
	Logger *slog.Logger

	// Tune is for Coffer's own tests.
	Tune tune.Store
}

// CreateOptions of a new volume.
type CreateOptions struct {
	Options
	// Size is the byte length of the new volume; it reads as zeros.
	Size int64
	// BlockSize is a power of two from 4,096 to 65,536; 0 is 8,192.
	BlockSize int
	// Suite of the blocks; 0 is AESGCM.
	Suite Suite
	// Key to encrypt under; zero is the keyring's default key. Ignored under suite none.
	Key dek.ID
	// Perm of the file; 0 is 0600.
	Perm fs.FileMode
}

const (
	defaultSealBudget  = 1 << 28
	defaultSealReserve = 1 << 20
	defaultTxMemory    = 32 << 20
)

// withDefaults returns a checked copy.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.FS == nil {
		c.FS = fsx.OS()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&c.CacheBytes, DefaultCacheBytes)
	setDefault(&c.CheckpointBytes, DefaultCheckpointBytes)
	setDefault(&c.SegmentBytes, DefaultSegmentBytes)
	setDefault(&c.Workers, runtime.GOMAXPROCS(0))
	setDefault(&c.Tune.SealBudget, defaultSealBudget)
	setDefault(&c.Tune.SealReserve, defaultSealReserve)
	setDefault(&c.Tune.TxMemory, defaultTxMemory)
	if c.Tune.Now == nil {
		c.Tune.Now = time.Now
	}
	switch {
	case c.CacheBytes < 0, c.CheckpointBytes < 0, c.Workers < 0:
		return c, fmt.Errorf("blockstore: a negative bound in the options: %w", fault.Usage)
	case c.SegmentBytes < 64<<10, c.SegmentBytes > 1<<30:
		return c, fmt.Errorf("blockstore: segments of %d bytes are out of range, 64 KiB to 1 GiB: %w", c.SegmentBytes, fault.Usage)
	}
	return c, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
