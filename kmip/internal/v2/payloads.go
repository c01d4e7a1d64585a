package v2

import (
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
)

// CreateRequest is KMIP 2.1, section 6.1.8.
type CreateRequest struct {
	ObjectType kmip.ObjectType
	Attributes ttlv.Struct `ttlv:"0x420125"`
}

// CreateResponse is KMIP 2.1, section 6.1.8.
type CreateResponse struct {
	ObjectType       kmip.ObjectType
	UniqueIdentifier string
}

// LocateRequest is KMIP 2.1, section 6.1.27.
type LocateRequest struct {
	MaximumItems      int32                  `ttlv:",omitempty"`
	OffsetItems       int32                  `ttlv:",omitempty"`
	StorageStatusMask kmip.StorageStatusMask `ttlv:",omitempty"`
	ObjectGroupMember kmip.ObjectGroupMember `ttlv:",omitempty"`
	Attributes        ttlv.Struct            `ttlv:"0x420125"`
}

// LocateResponse is KMIP 2.1, section 6.1.27.
type LocateResponse struct {
	LocatedItems     *int32
	UniqueIdentifier []string
}

// GetRequest is KMIP 2.1, section 6.1.18.
type GetRequest struct {
	UniqueIdentifier         string                  `ttlv:",omitempty"`
	KeyFormatType            kmip.KeyFormatType      `ttlv:",omitempty"`
	KeyWrapType              kmip.KeyWrapType        `ttlv:",omitempty"`
	KeyCompressionType       kmip.KeyCompressionType `ttlv:",omitempty"`
	KeyWrappingSpecification *ttlv.Value
}

// GetAttributesRequest is KMIP 2.1, section 6.1.20. A reference is an
// enumeration whose value is a tag, or a structure of vendor and name.
type GetAttributesRequest struct {
	UniqueIdentifier   string       `ttlv:",omitempty"`
	AttributeReference []ttlv.Value `ttlv:"0x42013B"`
}

// GetAttributesResponse is KMIP 2.1, section 6.1.20.
type GetAttributesResponse struct {
	UniqueIdentifier string
	Attributes       ttlv.Struct `ttlv:"0x420125"`
}

// AddAttributeRequest is KMIP 2.1, section 6.1.2.
type AddAttributeRequest struct {
	UniqueIdentifier string      `ttlv:",omitempty"`
	NewAttribute     ttlv.Struct `ttlv:"0x42013D"`
}

// RevokeRequest is KMIP 2.1, section 6.1.43.
type RevokeRequest struct {
	UniqueIdentifier         string `ttlv:",omitempty"`
	RevocationReason         kmip.RevocationReason
	CompromiseOccurrenceDate *time.Time
}

// Identified is the payload of Activate and Destroy, and of the answers to
// them, to Register, Revoke and AddAttribute: an identifier alone.
type Identified struct {
	UniqueIdentifier string `ttlv:",omitempty"`
}

// QueryRequest is KMIP 2.1, section 6.1.37.
type QueryRequest struct {
	QueryFunction []kmip.QueryFunction
}

// DiscoverVersions is KMIP 2.1, section 6.1.15, in both directions.
type DiscoverVersions struct {
	ProtocolVersion []kmip.ProtocolVersion
}

// newRequest returns a pointer to the payload type of a request.
func newRequest(op kmip.Operation) any {
	switch op {
	case kmip.OperationCreate:
		return new(CreateRequest)
	case kmip.OperationRegister:
		return new(RegisterRequest)
	case kmip.OperationLocate:
		return new(LocateRequest)
	case kmip.OperationGet:
		return new(GetRequest)
	case kmip.OperationGetAttributes:
		return new(GetAttributesRequest)
	case kmip.OperationAddAttribute:
		return new(AddAttributeRequest)
	case kmip.OperationActivate, kmip.OperationDestroy:
		return new(Identified)
	case kmip.OperationRevoke:
		return new(RevokeRequest)
	case kmip.OperationQuery:
		return new(QueryRequest)
	case kmip.OperationDiscoverVersions:
		return new(DiscoverVersions)
	}
	return new(ttlv.Struct)
}

// newResponse returns a pointer to the payload type of an answer. Query's has
// more fields than anyone asks for here: it stays a list of items.
func newResponse(op kmip.Operation) any {
	switch op {
	case kmip.OperationCreate:
		return new(CreateResponse)
	case kmip.OperationLocate:
		return new(LocateResponse)
	case kmip.OperationGet:
		return new(GetResponse)
	case kmip.OperationGetAttributes:
		return new(GetAttributesResponse)
	case kmip.OperationRegister, kmip.OperationAddAttribute, kmip.OperationActivate, kmip.OperationDestroy, kmip.OperationRevoke:
		return new(Identified)
	case kmip.OperationDiscoverVersions:
		return new(DiscoverVersions)
	}
	return new(ttlv.Struct)
}
