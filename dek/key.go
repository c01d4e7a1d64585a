package dek

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Key is a data-encryption key of 128, 192 or 256 bits with its ID. Its bytes
// lie in locked memory until [Key.Destroy]. The zero value is a destroyed key.
type Key struct {
	_    [0]func() // not comparable
	id   ID
	n    int            // length in bytes, kept after Destroy
	mem  *secmem.Buffer // nil once destroyed
	lent bool           // belongs to a keyring, which alone destroys it
}

var (
	_ fmt.Formatter            = Key{}
	_ fmt.Stringer             = Key{}
	_ fmt.GoStringer           = Key{}
	_ slog.LogValuer           = Key{}
	_ json.Marshaler           = Key{}
	_ encoding.TextMarshaler   = Key{}
	_ encoding.BinaryMarshaler = Key{}
)

// ValidBits reports whether a key may have this length in bits: 128, 192 or 256.
func ValidBits(bits int) bool { return bits == 128 || bits == 192 || bits == 256 }

// Generate returns a new random key of bits length (128, 192 or 256) under a
// new random ID. The bytes come from the system's generator (crypto/rand).
func Generate(bits int) (*Key, error) {
	if !ValidBits(bits) {
		return nil, badBits(bits)
	}
	if err := fips.Allow(fips.Random); err != nil {
		return nil, fmt.Errorf("dek: generate: %w", err)
	}
	mem, err := secmem.New(bits / 8)
	if err != nil {
		return nil, fmt.Errorf("dek: memory for a key: %w", err)
	}
	rand.Read(mem.Bytes()) // never fails: crypto/rand ends the process instead
	return &Key{id: NewID(), n: bits / 8, mem: mem}, nil
}

// Import returns a key with these bytes (16, 24 or 32 of them) under this ID.
// It copies raw and does not wipe it: raw stays the caller's to wipe.
func Import(id ID, raw []byte) (*Key, error) {
	switch {
	case id.IsZero():
		return nil, fmt.Errorf("dek: import: %w: the ID is zero", fault.Usage)
	case !ValidBits(len(raw) * 8):
		return nil, badBits(len(raw) * 8)
	}
	mem, err := secmem.New(len(raw))
	if err != nil {
		return nil, fmt.Errorf("dek: memory for a key: %w", err)
	}
	copy(mem.Bytes(), raw)
	return &Key{id: id, n: len(raw), mem: mem}, nil
}

func badBits(bits int) error {
	return fmt.Errorf("dek: %w: a key has 128, 192 or 256 bits, not %d", fault.Usage, bits)
}

// ID returns the key's identifier.
func (k *Key) ID() ID { return k.id }

// Len returns the key's length in bytes.
func (k *Key) Len() int { return k.n }

// Bits returns the key's length in bits.
func (k *Key) Bits() int { return k.n * 8 }

// ExposeSecret returns the key's bytes: the one way to them. The slice is the
// key's own memory: do not change it, do not keep it past [Key.Destroy] (or the
// release of the lease the key came from). It is nil once the key is destroyed.
func (k *Key) ExposeSecret() []byte {
	if k == nil || k.mem == nil {
		return nil
	}
	return k.mem.Bytes()
}

// Equal reports whether both keys have the same ID and the same bytes, in time
// that does not depend on the bytes. A destroyed key equals nothing.
func (k *Key) Equal(o *Key) bool {
	a, b := k.ExposeSecret(), o.ExposeSecret()
	return len(a) > 0 && len(b) > 0 && k.id == o.id && subtle.ConstantTimeCompare(a, b) == 1
}

// Clone returns a copy with memory of its own; destroying one leaves the other.
func (k *Key) Clone() (*Key, error) {
	raw := k.ExposeSecret()
	if raw == nil {
		return nil, ErrDestroyed
	}
	return Import(k.id, raw)
}

// Destroy wipes the key. It may be called again, and on nil. On a key lent by a
// [Lease] it does nothing: that key belongs to the keyring.
func (k *Key) Destroy() {
	if k != nil && !k.lent {
		k.wipe()
	}
}

func (k *Key) wipe() {
	if k.mem != nil {
		k.mem.Release()
		k.mem = nil
	}
}

// String returns "dek.Key(ID)", never the bytes.
func (k Key) String() string { return "dek.Key(" + k.id.String() + ")" }

// GoString returns what [Key.String] does.
func (k Key) GoString() string { return k.String() }

// Format writes what [Key.String] does, whatever the verb.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// LogValue logs what [Key.String] returns.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON refuses with [ErrSecret].
func (k Key) MarshalJSON() ([]byte, error) { return nil, ErrSecret }

// MarshalText refuses with [ErrSecret].
func (k Key) MarshalText() ([]byte, error) { return nil, ErrSecret }

// MarshalBinary refuses with [ErrSecret].
func (k Key) MarshalBinary() ([]byte, error) { return nil, ErrSecret }

// GobEncode refuses with [ErrSecret].
func (k Key) GobEncode() ([]byte, error) { return nil, ErrSecret }
