package kmip

import (
	"context"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/kmip/internal/hook"
)

func init() {
	hook.Do = func(ctx context.Context, client any, op kmip.Operation, payload any) (any, error) {
		return client.(*Client).do(ctx, request{op: op, payload: func(dialect) any { return payload }, changes: true})
	}
}
