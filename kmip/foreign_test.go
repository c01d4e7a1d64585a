package kmip

import (
	"errors"
	"testing"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/payloads"
	"github.com/stretchr/testify/require"

	v2 "github.com/cofferdb/coffer/kmip/internal/v2"
)

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// withUsage changes the usage mask of a request to register.
func withUsage(t *testing.T, payload any, mask kmip.CryptographicUsageMask) any {
	t.Helper()
	switch p := payload.(type) {
	case *payloads.RegisterRequestPayload:
		for i := range p.TemplateAttribute.Attribute {
			if a := &p.TemplateAttribute.Attribute[i]; a.AttributeName == kmip.AttributeNameCryptographicUsageMask {
				a.AttributeValue = mask
			}
		}
	case *v2.RegisterRequest:
		v2.Find(p.Attributes, kmip.TagCryptographicUsageMask).Value = int32(mask)
	default:
		t.Fatalf("%T", payload)
	}
	return payload
}

// foreign makes a key as another program would, in KMIP 1.x.
func foreign(t *testing.T, c *Client, algorithm kmip.CryptographicAlgorithm, bits int32) string {
	t.Helper()
	id, err := c.identified(t.Context(), request{op: kmip.OperationCreate, payload: func(dialect) any {
		return &payloads.CreateRequestPayload{ObjectType: kmip.ObjectTypeSymmetricKey, TemplateAttribute: kmip.TemplateAttribute{
			Attribute: []kmip.Attribute{
				{AttributeName: kmip.AttributeNameCryptographicAlgorithm, AttributeValue: algorithm},
				{AttributeName: kmip.AttributeNameCryptographicLength, AttributeValue: bits},
				{AttributeName: kmip.AttributeNameCryptographicUsageMask, AttributeValue: usageMaskOfDEK},
			}}}
	}})
	require.NoError(t, err)
	return id
}
