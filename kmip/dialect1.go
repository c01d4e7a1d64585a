package kmip

import (
	"fmt"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/payloads"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/dek"
)

// dialect1 is KMIP 1.0 to 1.4: the payloads of the library.
type dialect1 struct{ version Version }

var _ dialect = dialect1{}

func (dialect1) message(h header, op kmip.Operation, payload any) []byte {
	now := h.now.Truncate(time.Second)
	return ttlv.MarshalTTLV(&kmip.RequestMessage{
		Header: kmip.RequestHeader{ProtocolVersion: h.version.wire(), MaximumResponseSize: h.maxResponse,
			Authentication: h.auth, TimeStamp: &now, BatchCount: 1},
		BatchItem: []kmip.RequestBatchItem{{Operation: op, RequestPayload: payload.(kmip.OperationPayload)}},
	})
}

func (dialect1) parse(frame []byte) (*response, error) {
	var m kmip.ResponseMessage
	if err := ttlv.UnmarshalTTLV(frame, &m); err != nil {
		return nil, err
	}
	if len(m.BatchItem) != 1 || m.Header.BatchCount != 1 {
		return nil, fmt.Errorf("%d answers to one request", len(m.BatchItem))
	}
	it := &m.BatchItem[0]
	r := &response{version: m.Header.ProtocolVersion, op: it.Operation, status: it.ResultStatus,
		result: resultError{it.ResultReason, it.ResultMessage}}
	if it.ResponsePayload != nil {
		r.payload = it.ResponsePayload
	}
	return r, nil
}

// attrs1 are the attributes of a new key, as 1.x writes them.
func (a keyAttrs) attrs1() kmip.TemplateAttribute {
	list := []kmip.Attribute{
		{AttributeName: kmip.AttributeNameCryptographicAlgorithm, AttributeValue: kmip.CryptographicAlgorithmAES},
		{AttributeName: kmip.AttributeNameCryptographicLength, AttributeValue: int32(a.bits)},
		{AttributeName: kmip.AttributeNameCryptographicUsageMask, AttributeValue: usageMaskOfDEK},
	}
	if a.name != "" {
		list = append(list, name1(a.name))
	}
	if a.guid != nil {
		list = append(list, guid1(*a.guid))
	}
	return kmip.TemplateAttribute{Attribute: list}
}

func name1(name string) kmip.Attribute {
	return kmip.Attribute{AttributeName: kmip.AttributeNameName,
		AttributeValue: kmip.Name{NameValue: name, NameType: kmip.NameTypeUninterpretedTextString}}
}

func guid1(id dek.ID) kmip.Attribute {
	return kmip.Attribute{AttributeName: kmip.AttributeNameApplicationSpecificInformation,
		AttributeValue: kmip.ApplicationSpecificInformation{ApplicationNamespace: namespace, ApplicationData: id.String()}}
}

func (dialect1) create(a keyAttrs) any {
	return &payloads.CreateRequestPayload{ObjectType: kmip.ObjectTypeSymmetricKey, TemplateAttribute: a.attrs1()}
}

func (dialect1) register(a keyAttrs, raw []byte) any {
	return &payloads.RegisterRequestPayload{ObjectType: kmip.ObjectTypeSymmetricKey, TemplateAttribute: a.attrs1(),
		Object: &kmip.SymmetricKey{KeyBlock: kmip.KeyBlock{
			KeyFormatType:          kmip.KeyFormatTypeRaw,
			KeyValue:               &kmip.KeyValue{Plain: &kmip.PlainKeyValue{KeyMaterial: kmip.KeyMaterial{Bytes: &raw}}},
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES,
			CryptographicLength:    int32(a.bits),
		}}}
}

func (dialect1) locate(f filter, limit int32) any {
	list := []kmip.Attribute{{AttributeName: kmip.AttributeNameObjectType, AttributeValue: kmip.ObjectTypeSymmetricKey}}
	if f.name != "" {
		list = append(list, name1(f.name))
	}
	if f.guid != nil {
		list = append(list, guid1(*f.guid))
	}
	return &payloads.LocateRequestPayload{MaximumItems: limit, Attribute: list}
}

func (d dialect1) get(id, wrapping string) any {
	p := &payloads.GetRequestPayload{UniqueIdentifier: id}
	if wrapping != "" {
		p.KeyWrappingSpecification = &kmip.KeyWrappingSpecification{
			WrappingMethod: kmip.WrappingMethodEncrypt,
			EncryptionKeyInformation: &kmip.EncryptionKeyInformation{UniqueIdentifier: wrapping,
				CryptographicParameters: &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeNISTKeyWrap}},
			EncodingOption: kmip.EncodingOptionNoEncoding,
		}
	}
	return p
}

func (dialect1) getAttributes(id string) any {
	return &payloads.GetAttributesRequestPayload{UniqueIdentifier: id, AttributeName: []kmip.AttributeName{
		kmip.AttributeNameObjectType, kmip.AttributeNameName, kmip.AttributeNameState, kmip.AttributeNameCryptographicAlgorithm,
		kmip.AttributeNameCryptographicLength, kmip.AttributeNameApplicationSpecificInformation, customName,
	}}
}

func (dialect1) addGUID(id string, guid dek.ID, custom bool) any {
	a := guid1(guid)
	if custom {
		a = kmip.Attribute{AttributeName: customName, AttributeValue: guid.String()}
	}
	return &payloads.AddAttributeRequestPayload{UniqueIdentifier: id, Attribute: a}
}

func (dialect1) identified(op kmip.Operation, id string) any {
	if op == kmip.OperationActivate {
		return &payloads.ActivateRequestPayload{UniqueIdentifier: id}
	}
	return &payloads.DestroyRequestPayload{UniqueIdentifier: id}
}

func (dialect1) revoke(id string, reason kmip.RevocationReasonCode, message string, since *time.Time) any {
	return &payloads.RevokeRequestPayload{UniqueIdentifier: id, CompromiseOccurrenceDate: since,
		RevocationReason: kmip.RevocationReason{RevocationReasonCode: reason, RevocationMessage: message}}
}

func (dialect1) discover() any { return &payloads.DiscoverVersionsRequestPayload{} }

func (dialect1) query() any {
	return &payloads.QueryRequestPayload{QueryFunction: []kmip.QueryFunction{
		kmip.QueryFunctionOperations, kmip.QueryFunctionServerInformation}}
}

func (dialect1) identifier(payload any) (string, bool) {
	switch p := payload.(type) {
	case *payloads.CreateResponsePayload:
		return p.UniqueIdentifier, true
	case *payloads.RegisterResponsePayload:
		return p.UniqueIdentifier, true
	case *payloads.ActivateResponsePayload:
		return p.UniqueIdentifier, true
	case *payloads.RevokeResponsePayload:
		return p.UniqueIdentifier, true
	case *payloads.DestroyResponsePayload:
		return p.UniqueIdentifier, true
	case *payloads.AddAttributeResponsePayload:
		return p.UniqueIdentifier, true
	}
	return "", false
}

func (dialect1) located(payload any) ([]string, int, bool) {
	p, ok := payload.(*payloads.LocateResponsePayload)
	if !ok {
		return nil, 0, false
	}
	total := len(p.UniqueIdentifier)
	if p.LocatedItems != nil {
		total = max(total, int(*p.LocatedItems))
	}
	return p.UniqueIdentifier, total, true
}

func (dialect1) object(payload any) (keyObject, bool) {
	p, ok := payload.(*payloads.GetResponsePayload)
	if !ok {
		return keyObject{}, false
	}
	o := keyObject{id: p.UniqueIdentifier}
	sym, ok := p.Object.(*kmip.SymmetricKey)
	if !ok {
		return o, true
	}
	kb := &sym.KeyBlock
	o.symmetric, o.algorithm, o.bits, o.format = true, kb.CryptographicAlgorithm, int(kb.CryptographicLength), kb.KeyFormatType
	if kb.KeyWrappingData != nil {
		o.wrapped, o.encoding = true, kb.KeyWrappingData.EncodingOption
	}
	switch {
	case kb.KeyValue == nil:
	case kb.KeyValue.Wrapped != nil:
		o.material, o.wrapped = *kb.KeyValue.Wrapped, true
	case kb.KeyValue.Plain != nil && kb.KeyValue.Plain.KeyMaterial.Bytes != nil:
		o.material = *kb.KeyValue.Plain.KeyMaterial.Bytes
	case kb.KeyValue.Plain != nil && kb.KeyValue.Plain.KeyMaterial.TransparentSymmetricKey != nil:
		o.material = kb.KeyValue.Plain.KeyMaterial.TransparentSymmetricKey.Key
	}
	return o, true
}

func (dialect1) attributes(payload any) (KeyInfo, bool) {
	p, ok := payload.(*payloads.GetAttributesResponsePayload)
	if !ok {
		return KeyInfo{}, false
	}
	k := KeyInfo{ID: p.UniqueIdentifier}
	for _, a := range p.Attribute {
		switch v := a.AttributeValue.(type) {
		case kmip.ObjectType:
			k.symmetric = v == kmip.ObjectTypeSymmetricKey
		case kmip.Name:
			k.Names = append(k.Names, v.NameValue)
		case kmip.State:
			k.State = State(v)
		case kmip.CryptographicAlgorithm:
			k.algorithm = v
		case int32:
			if a.AttributeName == kmip.AttributeNameCryptographicLength {
				k.Bits = int(v)
			}
		case kmip.ApplicationSpecificInformation:
			k.guidFrom(v.ApplicationNamespace, v.ApplicationData)
		case ttlv.Value:
			if text, ok := v.Value.(string); ok && a.AttributeName == customName && k.GUID.IsZero() {
				k.guidFrom(namespace, text)
			}
		}
	}
	return k, true
}

func (dialect1) discovered(payload any) ([]Version, bool) {
	p, ok := payload.(*payloads.DiscoverVersionsResponsePayload)
	if !ok {
		return nil, false
	}
	return fromWires(p.ProtocolVersion), true
}

func (dialect1) operations(payload any) ([]kmip.Operation, string, bool) {
	p, ok := payload.(*payloads.QueryResponsePayload)
	if !ok {
		return nil, "", false
	}
	return p.Operations, p.VendorIdentification, true
}

func fromWires(ps []kmip.ProtocolVersion) []Version {
	var vs []Version
	for _, p := range ps {
		if v := fromWire(p); v != (Version{}) {
			vs = append(vs, v)
		}
	}
	return vs
}
