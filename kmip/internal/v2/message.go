package v2

import (
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
)

// RequestMessage is KMIP 2.1, section 8.2.
type RequestMessage struct {
	RequestHeader RequestHeader
	BatchItem     []RequestItem
}

// RequestHeader is KMIP 2.1, section 8.2.2.
type RequestHeader struct {
	ProtocolVersion              kmip.ProtocolVersion
	MaximumResponseSize          int32                             `ttlv:",omitempty"`
	ClientCorrelationValue       string                            `ttlv:",omitempty"`
	ServerCorrelationValue       string                            `ttlv:",omitempty"`
	AsynchronousIndicator        *ttlv.Value                       // an enumeration since 2.0
	AttestationCapableIndicator  *bool                             //
	AttestationType              []kmip.AttestationType            //
	Authentication               *kmip.Authentication              //
	BatchErrorContinuationOption kmip.BatchErrorContinuationOption `ttlv:",omitempty"`
	BatchOrderOption             *bool
	TimeStamp                    *time.Time
	BatchCount                   int32
}

// RequestItem is KMIP 2.1, section 8.2.3. Payload is one of this package's
// requests, by value or pointer, or a ttlv.Struct.
type RequestItem struct {
	Operation         kmip.Operation
	UniqueBatchItemID []byte
	Payload           any
}

// TagEncodeTTLV implements ttlv.TagEncodable.
func (it RequestItem) TagEncodeTTLV(e *ttlv.Encoder, tag int) {
	e.Struct(tag, func(e *ttlv.Encoder) {
		e.Any(it.Operation)
		if len(it.UniqueBatchItemID) > 0 {
			e.ByteString(kmip.TagUniqueBatchItemID, it.UniqueBatchItemID)
		}
		e.TagAny(kmip.TagRequestPayload, it.Payload)
	})
}

// TagDecodeTTLV implements ttlv.TagDecodable.
func (it *RequestItem) TagDecodeTTLV(d *ttlv.Decoder, tag int) error {
	return d.Struct(tag, func(d *ttlv.Decoder) error {
		if err := d.Any(&it.Operation); err != nil {
			return err
		}
		if err := d.Opt(kmip.TagUniqueBatchItemID, &it.UniqueBatchItemID); err != nil {
			return err
		}
		it.Payload = newRequest(it.Operation)
		return d.TagAny(kmip.TagRequestPayload, it.Payload)
	})
}

// ResponseMessage is KMIP 2.1, section 8.3.
type ResponseMessage struct {
	ResponseHeader ResponseHeader
	BatchItem      []ResponseItem
}

// ResponseHeader is KMIP 2.1, section 8.3.2.
type ResponseHeader struct {
	ProtocolVersion        kmip.ProtocolVersion
	TimeStamp              time.Time
	Nonce                  *ttlv.Value
	ServerHashedPassword   []byte `ttlv:"0x420155,omitempty"`
	AttestationType        []kmip.AttestationType
	ClientCorrelationValue string `ttlv:",omitempty"`
	ServerCorrelationValue string `ttlv:",omitempty"`
	BatchCount             int32
}

// ResponseItem is KMIP 2.1, section 8.3.3. Payload is nil where there is none.
type ResponseItem struct {
	Operation                    kmip.Operation
	UniqueBatchItemID            []byte
	ResultStatus                 kmip.ResultStatus
	ResultReason                 kmip.ResultReason
	ResultMessage                string
	AsynchronousCorrelationValue []byte
	Payload                      any
}

// TagEncodeTTLV implements ttlv.TagEncodable.
func (it ResponseItem) TagEncodeTTLV(e *ttlv.Encoder, tag int) {
	e.Struct(tag, func(e *ttlv.Encoder) {
		if it.Operation != 0 {
			e.Any(it.Operation)
		}
		if len(it.UniqueBatchItemID) > 0 {
			e.ByteString(kmip.TagUniqueBatchItemID, it.UniqueBatchItemID)
		}
		e.Any(it.ResultStatus)
		if it.ResultReason != 0 {
			e.Any(it.ResultReason)
		}
		if it.ResultMessage != "" {
			e.TextString(kmip.TagResultMessage, it.ResultMessage)
		}
		if len(it.AsynchronousCorrelationValue) > 0 {
			e.ByteString(kmip.TagAsynchronousCorrelationValue, it.AsynchronousCorrelationValue)
		}
		e.TagAny(kmip.TagResponsePayload, it.Payload)
	})
}

// TagDecodeTTLV implements ttlv.TagDecodable.
func (it *ResponseItem) TagDecodeTTLV(d *ttlv.Decoder, tag int) error {
	return d.Struct(tag, func(d *ttlv.Decoder) error {
		for _, field := range []struct {
			tag int
			to  any
		}{
			{kmip.TagOperation, &it.Operation},
			{kmip.TagUniqueBatchItemID, &it.UniqueBatchItemID},
		} {
			if err := d.Opt(field.tag, field.to); err != nil {
				return err
			}
		}
		if err := d.TagAny(kmip.TagResultStatus, &it.ResultStatus); err != nil {
			return err
		}
		return it.decodeResult(d)
	})
}

// decodeResult reads what follows the status; all of it is optional.
func (it *ResponseItem) decodeResult(d *ttlv.Decoder) error {
	for _, field := range []struct {
		tag int
		to  any
	}{
		{kmip.TagResultReason, &it.ResultReason},
		{kmip.TagResultMessage, &it.ResultMessage},
		{kmip.TagAsynchronousCorrelationValue, &it.AsynchronousCorrelationValue},
	} {
		if err := d.Opt(field.tag, field.to); err != nil {
			return err
		}
	}
	if d.Tag() != kmip.TagResponsePayload {
		return nil
	}
	it.Payload = newResponse(it.Operation)
	return d.TagAny(kmip.TagResponsePayload, it.Payload)
}
