package kmip

import (
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/dek"
)

// dialect makes requests and reads answers in the shapes of one major version.
// What it returns as a payload goes into message, and comes back from parse.
type dialect interface {
	// message encodes one request.
	message(h header, op kmip.Operation, payload any) []byte
	// parse decodes an answer that was checked.
	parse(frame []byte) (*response, error)

	create(a keyAttrs) any
	register(a keyAttrs, raw []byte) any
	locate(f filter, limit int32) any
	get(id string, wrapping string) any
	getAttributes(id string) any
	addGUID(id string, guid dek.ID, custom bool) any
	identified(op kmip.Operation, id string) any
	revoke(id string, reason kmip.RevocationReasonCode, message string, since *time.Time) any
	discover() any
	query() any

	// The readers return false for a payload of another shape.
	identifier(payload any) (string, bool)
	located(payload any) (ids []string, total int, ok bool)
	object(payload any) (keyObject, bool)
	attributes(payload any) (KeyInfo, bool)
	discovered(payload any) ([]Version, bool)
	operations(payload any) (ops []kmip.Operation, vendor string, ok bool)
}

func dialectOf(v Version) dialect {
	if v.major >= 2 {
		return dialect2{}
	}
	return dialect1{v}
}

// header is what every request's header says.
type header struct {
	version     Version
	maxResponse int32
	auth        *kmip.Authentication
	now         time.Time
}

// response is the one item of an answer.
type response struct {
	version kmip.ProtocolVersion
	op      kmip.Operation // 0 where the answer is about the whole message
	status  kmip.ResultStatus
	result  resultError
	payload any
}

// keyAttrs are the attributes of a new key.
type keyAttrs struct {
	name string
	bits int
	guid *dek.ID // nil: none
}

// filter is what Locate looks for; zero fields do not count.
type filter struct {
	name string
	guid *dek.ID
}

// keyObject is a symmetric key as Get returned it.
type keyObject struct {
	id        string
	symmetric bool
	algorithm kmip.CryptographicAlgorithm // 0: not said
	bits      int                         // 0: not said
	format    kmip.KeyFormatType
	material  []byte // raw, or wrapped
	wrapped   bool
	encoding  kmip.EncodingOption // of what is wrapped
}

// Where a key's GUID is on the server.
const (
	namespace      = "coffer"
	customName     = "x-coffer-guid" // KMIP 1.x
	customVendor   = "x"             // KMIP 2.x writes it as vendor and name
	customName2    = "coffer-guid"
	usageMaskOfDEK = kmip.CryptographicUsageEncrypt | kmip.CryptographicUsageDecrypt
)

// guidFrom reads the GUID out of the two places where it may be.
func (k *KeyInfo) guidFrom(space, data string) {
	if space != namespace {
		return
	}
	if id, err := dek.ParseID(data); err == nil && !id.IsZero() {
		k.GUID = id
	}
}

// items makes a structure of items.
func items(vs ...ttlv.Value) ttlv.Struct { return vs }

func item(tag int, v any) ttlv.Value { return ttlv.Value{Tag: tag, Value: v} }

func enum[T ~uint32](tag int, v T) ttlv.Value { return item(tag, ttlv.Enum(v)) }
