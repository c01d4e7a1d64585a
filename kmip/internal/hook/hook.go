// Package hook lets the module of conformance tests reach into package kmip: it
// sends payloads that no method of a client sends.
package hook

import (
	"context"

	"github.com/ovh/kmip-go"
)

// Do sends one request of KMIP 2.x over a client (a *kmip.Client) and returns
// the payload of the answer. Package kmip sets it.
var Do func(ctx context.Context, client any, op kmip.Operation, payload any) (any, error)
