package v2

import (
	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
)

// KeyBlock is KMIP 2.1, section 3.1. The value is a structure, or a byte string
// where the whole of it is wrapped.
type KeyBlock struct {
	KeyFormatType          kmip.KeyFormatType
	KeyCompressionType     kmip.KeyCompressionType `ttlv:",omitempty"`
	KeyValue               *ttlv.Value
	CryptographicAlgorithm kmip.CryptographicAlgorithm `ttlv:",omitempty"`
	CryptographicLength    int32                       `ttlv:",omitempty"`
	KeyWrappingData        *ttlv.Value
}

// SymmetricKey is KMIP 2.1, section 2.7.
type SymmetricKey struct {
	KeyBlock KeyBlock
}

// Object is a managed object: a symmetric key, or anything else as it came.
type Object struct {
	SymmetricKey *SymmetricKey
	Other        *ttlv.Value
}

func (o *Object) encode(e *ttlv.Encoder) {
	if o.SymmetricKey != nil {
		e.TagAny(kmip.TagSymmetricKey, o.SymmetricKey)
	}
	if o.Other != nil {
		o.Other.EncodeTTLV(e)
	}
}

func (o *Object) decode(d *ttlv.Decoder) error {
	switch d.Tag() {
	case 0:
		return nil
	case kmip.TagSymmetricKey:
		o.SymmetricKey = new(SymmetricKey)
		return d.TagAny(kmip.TagSymmetricKey, o.SymmetricKey)
	}
	o.Other = new(ttlv.Value)
	return o.Other.DecodeTTLV(d)
}

// GetResponse is KMIP 2.1, section 6.1.18.
type GetResponse struct {
	ObjectType       kmip.ObjectType
	UniqueIdentifier string
	Object           Object
}

// TagEncodeTTLV implements ttlv.TagEncodable.
func (p *GetResponse) TagEncodeTTLV(e *ttlv.Encoder, tag int) {
	e.Struct(tag, func(e *ttlv.Encoder) {
		e.Any(p.ObjectType)
		e.TextString(kmip.TagUniqueIdentifier, p.UniqueIdentifier)
		p.Object.encode(e)
	})
}

// TagDecodeTTLV implements ttlv.TagDecodable.
func (p *GetResponse) TagDecodeTTLV(d *ttlv.Decoder, tag int) error {
	return d.Struct(tag, func(d *ttlv.Decoder) error {
		if err := d.Any(&p.ObjectType); err != nil {
			return err
		}
		if err := d.TagAny(kmip.TagUniqueIdentifier, &p.UniqueIdentifier); err != nil {
			return err
		}
		return p.Object.decode(d)
	})
}

// RegisterRequest is KMIP 2.1, section 6.1.40.
type RegisterRequest struct {
	ObjectType kmip.ObjectType
	Attributes ttlv.Struct
	Object     Object
}

// TagEncodeTTLV implements ttlv.TagEncodable.
func (p *RegisterRequest) TagEncodeTTLV(e *ttlv.Encoder, tag int) {
	e.Struct(tag, func(e *ttlv.Encoder) {
		e.Any(p.ObjectType)
		p.Attributes.TagEncodeTTLV(e, TagAttributes)
		p.Object.encode(e)
	})
}

// TagDecodeTTLV implements ttlv.TagDecodable.
func (p *RegisterRequest) TagDecodeTTLV(d *ttlv.Decoder, tag int) error {
	return d.Struct(tag, func(d *ttlv.Decoder) error {
		if err := d.Any(&p.ObjectType); err != nil {
			return err
		}
		if err := d.TagAny(TagAttributes, &p.Attributes); err != nil {
			return err
		}
		return p.Object.decode(d)
	})
}
