package kmip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// NewKey says what a new key on a server is.
type NewKey struct {
	// Name is the key's name on the server, "" for none. Names are not unique.
	Name string
	// Bits is the length: 128, 192 or 256; 0 is 256. Register takes the key's own.
	Bits int
	// PreActive leaves the key pre-active: it is refused for new data until it is activated.
	PreActive bool
}

// maxName bounds a name, in bytes.
const maxName = 255

func (n *NewKey) check() error {
	if n.Bits == 0 {
		n.Bits = 256
	}
	if !dek.ValidBits(n.Bits) {
		return usage("a key has 128, 192 or 256 bits, not %d", n.Bits)
	}
	if len(n.Name) > maxName {
		return usage("a name has at most %d bytes", maxName)
	}
	return nil
}

// Create makes a random AES key on the server, under a new GUID, and activates
// it unless it shall be pre-active. Where the server does not keep the GUID the
// key is destroyed again ([ErrForeign]). After [ErrOutcomeUnknown] there may be
// a key that nobody uses.
func (c *Client) Create(ctx context.Context, n NewKey) (KeyInfo, error) {
	if err := n.check(); err != nil {
		return KeyInfo{}, err
	}
	guid := dek.NewID()
	return c.make(ctx, n, guid, maker{op: kmip.OperationCreate, payload: func(d dialect, a keyAttrs) any { return d.create(a) }})
}

// Register puts a copy of an existing key on the server, under the key's GUID.
// [ErrState] if the server has a key of that GUID.
func (c *Client) Register(ctx context.Context, k *dek.Key, n NewKey) (KeyInfo, error) {
	raw := k.ExposeSecret()
	if raw == nil {
		return KeyInfo{}, dek.ErrDestroyed
	}
	n.Bits = k.Bits()
	if err := n.check(); err != nil {
		return KeyInfo{}, err
	}
	switch _, err := c.Find(ctx, k.ID().String()); {
	case err == nil:
		return KeyInfo{}, c.error("Register", StepAnswer, ErrState, fmt.Errorf("the server has key %s already", k.ID()))
	case !errors.Is(err, ErrNotFound):
		return KeyInfo{}, err
	}
	return c.make(ctx, n, k.ID(), maker{kmip.OperationRegister, func(d dialect, a keyAttrs) any { return d.register(a, raw) }, raw})
}

// maker is how a key comes to the server.
type maker struct {
	op      kmip.Operation
	payload func(dialect, keyAttrs) any
	secret  []byte // the key that is sent; nil for none
}

func (m maker) request(a keyAttrs) request {
	return request{op: m.op, payload: func(d dialect) any { return m.payload(d, a) }, secret: m.secret}
}

// make creates or registers, sees to the GUID, and activates.
func (c *Client) make(ctx context.Context, n NewKey, guid dek.ID, m maker) (KeyInfo, error) {
	a := keyAttrs{name: n.Name, bits: n.Bits, guid: &guid}
	id, err := c.identified(ctx, m.request(a))
	if refusesAttribute(err) {
		a.guid = nil
		id, err = c.identified(ctx, m.request(a))
	}
	if err != nil {
		return KeyInfo{}, err
	}
	info, err := c.label(ctx, id, guid)
	if err != nil {
		if gone := c.Destroy(ctx, id); gone != nil {
			return KeyInfo{}, fmt.Errorf("%w; and key %s stays on the server: %w", err, id, gone)
		}
		return KeyInfo{}, err
	}
	if n.PreActive {
		return info, nil
	}
	if info.State != Active {
		if err := c.Activate(ctx, id); err != nil {
			return info, fmt.Errorf("key %s (%s) was made and is not active: %w", guid, id, err)
		}
	}
	return c.Info(ctx, id)
}

// refusesAttribute says whether the server may have refused for the sake of the GUID.
func refusesAttribute(err error) bool {
	var r *resultError
	if !errors.As(err, &r) {
		return false
	}
	switch r.reason {
	case kmip.ResultReasonInvalidField, kmip.ResultReasonApplicationNamespaceNotSupported, kmip.ResultReasonFeatureNotSupported,
		reasonUnsupportedAttribute, reasonInvalidAttribute, reasonInvalidAttributeValue:
		return true
	}
	return false
}

// label makes sure that the key on the server carries guid in one of the two
// places at least, and returns what the server says about the key then.
func (c *Client) label(ctx context.Context, id string, guid dek.ID) (KeyInfo, error) {
	if c.offers(ctx, kmip.OperationAddAttribute) {
		_ = c.addGUID(ctx, id, guid, true) // many servers refuse custom attributes; then the other place must do
	}
	info, err := c.Info(ctx, id)
	if err == nil && info.GUID.IsZero() {
		if err := c.addGUID(ctx, id, guid, false); err != nil {
			var said *resultError
			if errors.As(err, &said) {
				err = said // the rest is said around it
			}
			return info, fault.Hint(c.error("AddAttribute", StepAnswer, ErrForeign, fmt.Errorf("the server keeps no GUID beside the key: %w", err)),
				"Coffer knows keys by their GUID alone, so a key of such a server cannot be used.")
		}
		info, err = c.Info(ctx, id)
	}
	if err == nil && info.GUID != guid {
		err = c.error("GetAttributes", StepAnswer, ErrForeign, fmt.Errorf("key %s does not have the GUID that it was given", id))
	}
	return info, err
}

// offers says whether the server lists an operation. It is asked once; a server
// that does not answer that offers nothing that can be left out.
func (c *Client) offers(ctx context.Context, op kmip.Operation) bool {
	c.asked.Do(func() {
		payload, err := c.do(ctx, request{op: kmip.OperationQuery, payload: dialect.query})
		if err == nil {
			c.ops, _, _ = dialectOf(c.version).operations(payload)
		}
	})
	return slices.Contains(c.ops, op)
}

func (c *Client) addGUID(ctx context.Context, id string, guid dek.ID, custom bool) error {
	_, err := c.identified(ctx, request{op: kmip.OperationAddAttribute, payload: func(d dialect) any { return d.addGUID(id, guid, custom) }})
	return err
}

// Adopt gives a foreign key a GUID and returns what the server says about it
// then. A key that has one keeps it. [ErrForeign], with the server's reason,
// where the server does not take one.
func (c *Client) Adopt(ctx context.Context, id string) (KeyInfo, error) {
	info, err := c.Info(ctx, id)
	if err != nil || !info.GUID.IsZero() {
		return info, err
	}
	if err := info.Usable(); !errors.Is(err, ErrForeign) {
		return info, err
	}
	return c.label(ctx, id, dek.NewID())
}

// Activate makes a pre-active key active.
func (c *Client) Activate(ctx context.Context, id string) error {
	return c.change(ctx, kmip.OperationActivate, id, func(d dialect) any { return d.identified(kmip.OperationActivate, id) })
}

// Destroy destroys the key on the server. What is encrypted under its only copy
// is lost for ever. Servers refuse it for active keys ([ErrState]): revoke them first.
func (c *Client) Destroy(ctx context.Context, id string) error {
	return c.change(ctx, kmip.OperationDestroy, id, func(d dialect) any { return d.identified(kmip.OperationDestroy, id) })
}

// Reason is why a key is revoked. The zero value is invalid.
type Reason uint8

// The reasons. A key that is compromised is in the state [Compromised]
// afterwards, otherwise [Deactivated].
const (
	Cessation   Reason = 1 // it is no longer needed for new data
	Superseded  Reason = 2 // another key took its place
	Compromise  Reason = 3 // somebody else has it, or may have
	reasonCount        = 4
)

// String returns "cessation", "superseded" or "compromise".
func (r Reason) String() string {
	return [reasonCount]string{"invalid", "cessation", "superseded", "compromise"}[min(r, reasonCount)%reasonCount]
}

// ParseReason reads what String returns.
func ParseReason(text string) (Reason, error) {
	for r := Cessation; r < reasonCount; r++ {
		if r.String() == text {
			return r, nil
		}
	}
	return 0, usage("reason %q; there are cessation, superseded, compromise", text)
}

// Revoke deactivates a key, or marks it compromised. It cannot be taken back.
func (c *Client) Revoke(ctx context.Context, id string, reason Reason) error {
	code, message := kmip.RevocationReasonCodeCessationOfOperation, "revoked by coffer"
	var since *time.Time
	switch reason {
	case Cessation:
	case Superseded:
		code = kmip.RevocationReasonCodeSuperseded
	case Compromise:
		now := c.d.opts.now().Truncate(time.Second)
		code, since = kmip.RevocationReasonCodeKeyCompromise, &now
	default:
		return usage("no reason was given")
	}
	return c.change(ctx, kmip.OperationRevoke, id, func(d dialect) any { return d.revoke(id, code, message, since) })
}

// change does an operation on one key whose answer names the key.
func (c *Client) change(ctx context.Context, op kmip.Operation, id string, payload func(dialect) any) error {
	got, err := c.identified(ctx, request{op: op, payload: payload})
	if err == nil && got != id {
		err = c.improper(op, errors.New("it is about another key"))
	}
	return err
}

// identified does an operation that changes something and returns the
// identifier in its answer.
func (c *Client) identified(ctx context.Context, r request) (string, error) {
	r.changes = true
	answer, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	id, ok := dialectOf(c.version).identifier(answer)
	if !ok {
		id = ""
	}
	if err := checkServerID(id); err != nil {
		return "", c.improper(r.op, err)
	}
	return id, nil
}

// wipeAll destroys keys that nobody takes any more.
func wipeAll(keys []*dek.Key) {
	for _, k := range keys {
		k.Destroy()
	}
}
