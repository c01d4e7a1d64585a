package dek

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Limits of a keyring.
const (
	// MaxDatabaseKeys is how many keys can be activated for databases at one time.
	MaxDatabaseKeys = 256
	// MaxElementKeys is how many keys can be activated for data elements at one time.
	MaxElementKeys = 4
)

// Use is what a key is activated for. The zero value is invalid.
type Use uint8

// The uses of a key. The same key may be activated for both.
const (
	Database Use = 1 // volumes and their journals
	Element  Use = 2 // single fields and streams
)

// Valid reports whether u is one of the uses.
func (u Use) Valid() bool { return u == Database || u == Element }

// Capacity returns how many keys can be activated for u at one time.
func (u Use) Capacity() int {
	switch u {
	case Database:
		return MaxDatabaseKeys
	case Element:
		return MaxElementKeys
	}
	return 0
}

// String returns "database" or "element".
func (u Use) String() string {
	switch u {
	case Database:
		return "database"
	case Element:
		return "element"
	}
	return fmt.Sprintf("Use(%d)", uint8(u))
}

// MarshalText returns what String does; invalid values are [ErrUsage].
func (u Use) MarshalText() ([]byte, error) {
	if !u.Valid() {
		return nil, fmt.Errorf("dek: %w: %s", fault.Usage, u)
	}
	return []byte(u.String()), nil
}

// Mode is what an activated key may do. The zero value is invalid.
type Mode uint8

// The modes of an activated key.
const (
	Active      Mode = 1 // encrypts and decrypts
	DecryptOnly Mode = 2 // decrypts what exists, encrypts nothing
)

// Valid reports whether m is one of the modes.
func (m Mode) Valid() bool { return m == Active || m == DecryptOnly }

// String returns "active" or "decrypt-only".
func (m Mode) String() string {
	switch m {
	case Active:
		return "active"
	case DecryptOnly:
		return "decrypt-only"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText returns what String does; invalid values are [ErrUsage].
func (m Mode) MarshalText() ([]byte, error) {
	if !m.Valid() {
		return nil, fmt.Errorf("dek: %w: %s", fault.Usage, m)
	}
	return []byte(m.String()), nil
}

func checkUse(u Use) error {
	if !u.Valid() {
		return fmt.Errorf("dek: %w: no such use of a key: %s", fault.Usage, u)
	}
	return nil
}

func checkUseMode(u Use, m Mode) error {
	if err := checkUse(u); err != nil {
		return err
	}
	if !m.Valid() {
		return fmt.Errorf("dek: %w: no such mode of a key: %s", fault.Usage, m)
	}
	return nil
}
