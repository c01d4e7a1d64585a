package kmip

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Info returns what the server says about the key with its identifier id.
func (c *Client) Info(ctx context.Context, id string) (KeyInfo, error) {
	payload, err := c.do(ctx, request{op: kmip.OperationGetAttributes, payload: func(d dialect) any { return d.getAttributes(id) }})
	if err != nil {
		return KeyInfo{}, err
	}
	k, ok := dialectOf(c.version).attributes(payload)
	if !ok || k.ID != id {
		return KeyInfo{}, c.improper(kmip.OperationGetAttributes, errors.New("it is about another key"))
	}
	k.Names = shownAll(k.Names, maxNames)
	if k.GUID.IsZero() && c.version.major >= 2 {
		c.customGUID(ctx, &k)
	}
	return k, nil
}

// customGUID looks for the vendor attribute of KMIP 2.x. Servers that do not
// know such attributes say so in many ways; all of them mean that there is none.
func (c *Client) customGUID(ctx context.Context, k *KeyInfo) {
	payload, err := c.do(ctx, request{op: kmip.OperationGetAttributes, payload: func(dialect) any { return dialect2{}.customReference(k.ID) }})
	if err != nil {
		return
	}
	if more, ok := dialectOf(c.version).attributes(payload); ok && more.ID == k.ID {
		k.GUID = more.GUID
	}
}

// locate returns the identifiers of keys that match, at most limit;
// [ErrTooMany] if there are more.
func (c *Client) locate(ctx context.Context, f filter, limit int) ([]string, error) {
	payload, err := c.do(ctx, request{op: kmip.OperationLocate, payload: func(d dialect) any { return d.locate(f, int32(limit)+1) }})
	if err != nil {
		return nil, err
	}
	ids, total, ok := dialectOf(c.version).located(payload)
	if !ok {
		return nil, c.improper(kmip.OperationLocate, errors.New("no list of keys"))
	}
	if total > limit {
		err := c.error("Locate", StepAnswer, ErrTooMany, fmt.Errorf("more than %d keys match", limit))
		return nil, fault.Hint(err, "Name the key by its GUID or the server's identifier, or let the client see fewer keys.")
	}
	for _, id := range ids {
		if err := checkServerID(id); err != nil {
			return nil, c.improper(kmip.OperationLocate, err)
		}
	}
	return ids, nil
}

// List returns the symmetric keys that this client sees, those of Coffer and
// others, at most [Options].MaxKeys: more are [ErrTooMany].
func (c *Client) List(ctx context.Context) ([]KeyInfo, error) {
	ids, err := c.locate(ctx, filter{}, c.d.opts.MaxKeys)
	if err != nil {
		return nil, err
	}
	var keys []KeyInfo
	for _, id := range ids {
		k, err := c.Info(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue // destroyed since
		}
		if err != nil {
			return nil, err
		}
		if k.symmetric {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// maxSame is how many keys may claim one GUID before it is called too many.
const maxSame = 16

// Find returns the key that text names: by its GUID, or by the server's
// identifier. Errors: [ErrNotFound]; [ErrTooMany] where several keys have that GUID.
func (c *Client) Find(ctx context.Context, text string) (KeyInfo, error) {
	guid, err := dek.ParseID(text)
	if err != nil {
		if err := checkServerID(text); err != nil {
			return KeyInfo{}, usage("a key's identifier is text that prints, 1 to %d bytes", maxID)
		}
		return c.Info(ctx, text)
	}
	ids, err := c.locate(ctx, filter{guid: &guid}, c.d.opts.MaxKeys)
	if err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrUnsupported) { // some servers do not know the attribute
		return KeyInfo{}, err
	}
	var found []KeyInfo
	for _, id := range ids { // some servers return what they cannot compare
		k, err := c.Info(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return KeyInfo{}, err
		}
		if err == nil && k.GUID == guid {
			found = append(found, k)
		}
		if len(found) > maxSame {
			break
		}
	}
	switch len(found) {
	case 0:
		return c.Info(ctx, text) // many servers name keys by GUIDs of their own
	case 1:
		return found[0], nil
	}
	return KeyInfo{}, fault.Hint(c.error("Locate", StepAnswer, ErrTooMany, fmt.Errorf("%d keys have the GUID %s", len(found), guid)),
		"Name the key by the server's identifier: coffer kmip key list.")
}

// Get fetches the key with the server's identifier id. The caller destroys it.
// What it may do is the info's State.Mode. Errors: those of [KeyInfo.Usable],
// and [ErrUnsupported] for a key that the server returns in a form that is not
// raw, wrapped, or of another length than it says.
func (c *Client) Get(ctx context.Context, id string) (*dek.Key, KeyInfo, error) {
	return c.get(ctx, id, "", nil)
}

// GetWrapped is Get where the key travels wrapped (NIST key wrap, RFC 3394)
// under another key of the server, wrapID, which the caller has as kek: for
// where TLS ends before the server does. It needs KMIP 1.1 or higher and a server
// that wraps.
func (c *Client) GetWrapped(ctx context.Context, id, wrapID string, kek *dek.Key) (*dek.Key, KeyInfo, error) {
	if c.version == V10 {
		return nil, KeyInfo{}, c.error("Get", StepVersion, ErrUnsupported, errors.New("KMIP 1.0 cannot say how a key is wrapped"))
	}
	if wrapID == "" || kek.ExposeSecret() == nil {
		return nil, KeyInfo{}, usage("no key to wrap with")
	}
	return c.get(ctx, id, wrapID, kek)
}

func (c *Client) get(ctx context.Context, id, wrapID string, kek *dek.Key) (*dek.Key, KeyInfo, error) {
	info, err := c.Info(ctx, id)
	if err != nil {
		return nil, info, err
	}
	if err := info.Usable(); err != nil {
		return nil, info, err
	}
	payload, err := c.do(ctx, request{op: kmip.OperationGet, payload: func(d dialect) any { return d.get(id, wrapID) }})
	if err != nil {
		return nil, info, err
	}
	o, ok := dialectOf(c.version).object(payload)
	defer secmem.Wipe(o.material)
	if !ok || o.id != id {
		return nil, info, c.improper(kmip.OperationGet, errors.New("it is about another key"))
	}
	raw, release, err := o.open(kek)
	if err != nil {
		return nil, info, c.error("Get", StepAnswer, ErrUnsupported, err)
	}
	defer release()
	if err := o.check(&info, raw); err != nil {
		return nil, info, c.error("Get", StepAnswer, ErrUnsupported, err)
	}
	k, err := dek.Import(info.GUID, raw)
	return k, info, err
}

// open returns the key's bytes, and what lets go of them.
func (o *keyObject) open(kek *dek.Key) ([]byte, func(), error) {
	if err := o.openable(kek != nil); err != nil {
		return nil, nil, err
	}
	if kek == nil {
		return o.material, func() { secmem.Wipe(o.material) }, nil
	}
	raw, err := dek.Unwrap(kek.ExposeSecret(), o.material)
	if err != nil {
		return nil, nil, fmt.Errorf("the wrapped key: %w", err)
	}
	return raw.Bytes(), raw.Release, nil
}

func (o *keyObject) openable(wrapped bool) error {
	switch {
	case !o.symmetric:
		return errors.New("it is no symmetric key")
	case o.format != kmip.KeyFormatTypeRaw && o.format != kmip.KeyFormatTypeTransparentSymmetricKey:
		return fmt.Errorf("the key comes in the format %#x; raw and transparent are understood", uint32(o.format))
	case len(o.material) == 0:
		return errors.New("the answer holds no key; the server may keep it from being read")
	case o.wrapped && !wrapped:
		return errors.New("the key comes wrapped, which nobody asked for")
	case !o.wrapped && wrapped:
		return errors.New("the key does not come wrapped, as it was asked for")
	case wrapped && o.encoding != kmip.EncodingOptionNoEncoding:
		return errors.New("what is wrapped is not the key alone (no encoding)")
	}
	return nil
}

// check compares what came with what the server says about the key.
func (o *keyObject) check(info *KeyInfo, raw []byte) error {
	switch bits := len(raw) * 8; {
	case o.algorithm != kmip.CryptographicAlgorithmAES && o.algorithm != 0:
		return errors.New("the key is not for AES")
	case !dek.ValidBits(bits):
		return fmt.Errorf("the key has %d bits; 128, 192 and 256 are possible", bits)
	case info.Bits != 0 && info.Bits != bits:
		return fmt.Errorf("the key has %d bits, and the server says %d", bits, info.Bits)
	case bytes.Count(raw, raw[:1]) == len(raw):
		return errors.New("what came is the same byte over and over, no random key; the server may keep the key from being read")
	}
	return nil
}
