package kmip

import (
	"fmt"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// State is a key's state on the server (KMIP 1.4, section 3.22). The zero value: not known.
type State uint32

// The states.
const (
	PreActive            = State(kmip.StatePreActive)
	Active               = State(kmip.StateActive)
	Deactivated          = State(kmip.StateDeactivated)
	Compromised          = State(kmip.StateCompromised)
	Destroyed            = State(kmip.StateDestroyed)
	DestroyedCompromised = State(kmip.StateDestroyedCompromised)
)

var stateNames = map[State]string{PreActive: "pre-active", Active: "active", Deactivated: "deactivated",
	Compromised: "compromised", Destroyed: "destroyed", DestroyedCompromised: "destroyed-compromised"}

// String returns "active" and the like, "unknown" for the zero value.
func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	if s == 0 {
		return "unknown"
	}
	return fmt.Sprintf("State(%d)", uint32(s))
}

// MarshalText returns what String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Mode is what a key in this state may do: [dek.Active] where it is active,
// [dek.DecryptOnly] where it is pre-active, deactivated or compromised, and 0,
// which is invalid, where it is destroyed or its state is not known.
func (s State) Mode() dek.Mode {
	switch s {
	case Active:
		return dek.Active
	case PreActive, Deactivated, Compromised:
		return dek.DecryptOnly
	}
	return 0
}

// KeyInfo is what a server says about a key, without the key.
type KeyInfo struct {
	ID    string   // the server's identifier
	GUID  dek.ID   // zero: a foreign key that has none
	Names []string // not unique
	Bits  int
	State State

	symmetric bool
	algorithm kmip.CryptographicAlgorithm
}

// Usable says why the key cannot be used for anything: no AES key of 128, 192 or
// 256 bits ([ErrUnsupported]), destroyed ([ErrState]), or without a GUID
// ([ErrForeign]). Servers that leave an attribute out are given the benefit of the doubt.
func (k *KeyInfo) Usable() error {
	switch {
	case !k.symmetric && k.algorithm != kmip.CryptographicAlgorithmAES:
		return fmt.Errorf("kmip: key %s is no symmetric key: %w", k.ID, fault.Unsupported)
	case k.algorithm != kmip.CryptographicAlgorithmAES && k.algorithm != 0:
		return fault.Hint(fmt.Errorf("kmip: key %s is not for AES: %w", k.ID, fault.Unsupported), "Choose an AES key, or make one: coffer kmip key create.")
	case k.Bits != 0 && !dek.ValidBits(k.Bits):
		return fmt.Errorf("kmip: key %s has %d bits; 128, 192 and 256 are possible: %w", k.ID, k.Bits, fault.Unsupported)
	case k.State != 0 && k.State.Mode() == 0:
		return fault.Hint(fmt.Errorf("kmip: key %s is %s: %w", k.ID, k.State, fault.State),
			"What is encrypted under it can be read only with another copy of the key, in a key file.")
	case k.GUID.IsZero():
		return fault.Hint(fmt.Errorf("%w: %s", ErrForeign, k.ID),
			"It was not made by Coffer. coffer kmip key adopt SERVER ID gives it a GUID where the server allows that.")
	}
	return nil
}

// Writable says why the key may not encrypt new data: it is in any state but
// active ([ErrState]), or not usable at all.
func (k *KeyInfo) Writable() error {
	if err := k.Usable(); err != nil {
		return err
	}
	if k.State == Active {
		return nil
	}
	hint := "It still decrypts. To re-key what it encrypts: coffer rekey --leave-inactive."
	if k.State == PreActive {
		hint = "Activate it: coffer kmip key activate."
	}
	return fault.Hint(fmt.Errorf("kmip: key %s (%s) is %s, it may not encrypt new data: %w", k.GUID, k.ID, k.State, fault.State), hint)
}
