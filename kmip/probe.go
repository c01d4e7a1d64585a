package kmip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Steps of [Probe] only.
const (
	StepOperations Step = "operations"
	StepPermission Step = "permission to look for keys"
	StepSavedKey   Step = "saved key"
)

// Probed is what one step of [Probe] found.
type Probed struct {
	Step   Step
	Detail string
	Err    error // nil: it works
}

// needed are the operations that everything here uses.
var needed = []kmip.Operation{kmip.OperationCreate, kmip.OperationLocate, kmip.OperationGet, kmip.OperationGetAttributes,
	kmip.OperationActivate, kmip.OperationRevoke, kmip.OperationDestroy}

// Probe tries step by step what works with a server, without changing anything
// there: the certificates here, the names, a connection, TLS, the versions, the
// operations, whether this client may look for keys, and whether it gets those
// that the configuration saves. The error is that of the first step that failed; where there are several addresses, steps of
// addresses that failed are listed and are no error.
func Probe(ctx context.Context, s Server, o *Options) ([]Probed, error) {
	opts, err := o.complete()
	if err != nil {
		return nil, err
	}
	var steps []Probed
	opts.step = func(step Step, detail string, err error) {
		if len(steps) == 0 {
			steps = append(steps, Probed{StepConfig, "certificates and keys can be read", nil})
		}
		steps = append(steps, Probed{step, detail, err})
	}
	c, err := Dial(ctx, s, &opts)
	if err != nil {
		if len(steps) == 0 {
			steps = append(steps, Probed{StepConfig, "", err})
		}
		return steps, err
	}
	defer func() { _ = c.Close() }() // it was only asked
	if c.Offered() == nil {
		steps = append(steps, Probed{StepVersion, c.Version().String() + ", as it is pinned; the server does not say what it offers", nil})
	} else {
		steps = append(steps, Probed{StepVersion, "speaks " + c.Version().String(), nil})
	}
	detail, err := c.probeOperations(ctx)
	opts.step(StepOperations, detail, err)
	if err != nil {
		return steps, err
	}
	ids, err := c.locate(ctx, filter{}, opts.MaxKeys)
	opts.step(StepPermission, fmt.Sprintf("%d symmetric keys seen", len(ids)), err)
	for _, id := range s.Keys {
		if err == nil {
			err = c.probeKey(ctx, id)
		}
	}
	return steps, err
}

// probeKey fetches a key and lets go of it.
func (c *Client) probeKey(ctx context.Context, id string) error {
	info, err := c.Find(ctx, id)
	if err == nil {
		var k *dek.Key
		if k, info, err = c.Get(ctx, info.ID); err == nil {
			k.Destroy()
		}
	}
	c.d.opts.step(StepSavedKey, fmt.Sprintf("%s, %s", id, info.State), err)
	return err
}

// probeOperations asks which operations there are.
func (c *Client) probeOperations(ctx context.Context) (string, error) {
	payload, err := c.do(ctx, request{op: kmip.OperationQuery, payload: dialect.query})
	if err != nil {
		return "", err
	}
	ops, vendor, ok := dialectOf(c.version).operations(payload)
	if !ok {
		return "", c.improper(kmip.OperationQuery, errors.New("no list of operations"))
	}
	var missing []string
	for _, op := range needed {
		if !slices.Contains(ops, op) {
			missing = append(missing, opName(op))
		}
	}
	if vendor = shown(vendor, shownName); vendor == "" {
		vendor = "a server that does not say whose it is"
	}
	if len(missing) > 0 {
		err := c.error("Query", StepAnswer, ErrUnsupported, fmt.Errorf("the server does not offer %s", strings.Join(missing, ", ")))
		return vendor, fault.Hint(err, "Another protocol version may offer more: coffer kmip server edit --version.")
	}
	return vendor + ", all that is needed", nil
}
