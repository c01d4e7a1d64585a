package secmem

import (
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
)

// MaxLen is the longest buffer, in bytes.
const MaxLen = 1 << 24

const redacted = "secmem.Buffer(redacted)"

// Buffer is a secret of fixed length. It can be neither printed, nor compared,
// nor encoded. Whoever makes one must release it: a Buffer that is dropped
// keeps its place in the arena, unwiped, since slices of it may be in use.
type Buffer struct {
	_    [0]func() // not comparable
	data atomic.Pointer[region]
	n    int
}

var (
	_ fmt.Formatter            = (*Buffer)(nil)
	_ fmt.Stringer             = (*Buffer)(nil)
	_ fmt.GoStringer           = (*Buffer)(nil)
	_ slog.LogValuer           = (*Buffer)(nil)
	_ json.Marshaler           = (*Buffer)(nil)
	_ encoding.TextMarshaler   = (*Buffer)(nil)
	_ encoding.BinaryMarshaler = (*Buffer)(nil)
)

// New returns a zeroed buffer of n bytes, aligned to 64 bytes. It fails only
// with [ErrSize], for n < 0 or n > [MaxLen]; memory that the system refuses to
// lock is no error, see [StatusNow].
func New(n int) (*Buffer, error) {
	if n < 0 || n > MaxLen {
		return nil, ErrSize
	}
	b := &Buffer{n: n}
	b.data.Store(defaultArena.alloc(n))
	return b, nil
}

// From returns a buffer with a copy of secret, and wipes secret. When it fails
// ([ErrSize]) secret is wiped too.
func From(secret []byte) (*Buffer, error) {
	defer Wipe(secret)
	b, err := New(len(secret))
	if err != nil {
		return nil, err
	}
	copy(b.Bytes(), secret)
	return b, nil
}

// Bytes returns the secret itself, not a copy: len and cap are Len, and it is
// valid until Release. After Release it is nil. A nil Buffer has nil bytes.
func (b *Buffer) Bytes() []byte {
	if b == nil {
		return nil
	}
	r := b.data.Load()
	if r == nil {
		return nil
	}
	return r.mem[:b.n:b.n]
}

// Len returns the length in bytes, also after Release.
func (b *Buffer) Len() int {
	if b == nil {
		return 0
	}
	return b.n
}

// Release wipes the secret and gives its place back. It may be called again,
// by several goroutines too, and on nil. Slices from Bytes must not be used
// any more: their memory will soon hold another secret.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	if r := b.data.Swap(nil); r != nil {
		defaultArena.free(r)
	}
}

// String does not return the secret.
func (b *Buffer) String() string { return redacted }

// GoString does not return the secret.
func (b *Buffer) GoString() string { return redacted }

// Format writes the same text for every verb.
func (b *Buffer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue does not return the secret.
func (b *Buffer) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always fails, with [ErrSecret].
func (b *Buffer) MarshalJSON() ([]byte, error) { return nil, ErrSecret }

// MarshalText always fails, with [ErrSecret].
func (b *Buffer) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary always fails, with [ErrSecret].
func (b *Buffer) MarshalBinary() ([]byte, error) { return nil, ErrSecret }

// GobEncode always fails, with [ErrSecret].
func (b *Buffer) GobEncode() ([]byte, error) { return nil, ErrSecret }

// Wipe sets every byte of b to zero. It is not inlined, so that the compiler
// cannot see that nobody reads b afterwards.
//
//go:noinline
func Wipe(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}
