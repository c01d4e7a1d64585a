package kmip

import (
	"fmt"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/dek"
	v2 "github.com/cofferdb/coffer/kmip/internal/v2"
)

// dialect2 is KMIP 2.0 and 2.1: the payloads of package v2.
type dialect2 struct{}

var _ dialect = dialect2{}

func (dialect2) message(h header, op kmip.Operation, payload any) []byte {
	now := h.now.Truncate(time.Second)
	return ttlv.MarshalTTLV(&v2.RequestMessage{
		RequestHeader: v2.RequestHeader{ProtocolVersion: h.version.wire(), MaximumResponseSize: h.maxResponse,
			Authentication: h.auth, TimeStamp: &now, BatchCount: 1},
		BatchItem: []v2.RequestItem{{Operation: op, Payload: payload}},
	})
}

func (dialect2) parse(frame []byte) (*response, error) {
	var m v2.ResponseMessage
	if err := ttlv.UnmarshalTTLV(frame, &m); err != nil {
		return nil, err
	}
	if len(m.BatchItem) != 1 || m.ResponseHeader.BatchCount != 1 {
		return nil, fmt.Errorf("%d answers to one request", len(m.BatchItem))
	}
	it := &m.BatchItem[0]
	return &response{version: m.ResponseHeader.ProtocolVersion, op: it.Operation, status: it.ResultStatus,
		result: resultError{it.ResultReason, it.ResultMessage}, payload: it.Payload}, nil
}

func (a keyAttrs) attrs2() ttlv.Struct {
	list := items(
		enum(kmip.TagCryptographicAlgorithm, kmip.CryptographicAlgorithmAES),
		item(kmip.TagCryptographicLength, int32(a.bits)),
		item(kmip.TagCryptographicUsageMask, int32(usageMaskOfDEK)),
	)
	if a.name != "" {
		list = append(list, name2(a.name))
	}
	if a.guid != nil {
		list = append(list, guid2(*a.guid))
	}
	return list
}

func name2(name string) ttlv.Value {
	return item(kmip.TagName, items(item(kmip.TagNameValue, name), enum(kmip.TagNameType, kmip.NameTypeUninterpretedTextString)))
}

func guid2(id dek.ID) ttlv.Value {
	return item(kmip.TagApplicationSpecificInformation,
		items(item(kmip.TagApplicationNamespace, namespace), item(kmip.TagApplicationData, id.String())))
}

func (dialect2) create(a keyAttrs) any {
	return &v2.CreateRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a.attrs2()}
}

func (dialect2) register(a keyAttrs, raw []byte) any {
	value := item(kmip.TagKeyValue, items(item(kmip.TagKeyMaterial, raw)))
	return &v2.RegisterRequest{ObjectType: kmip.ObjectTypeSymmetricKey, Attributes: a.attrs2(),
		Object: v2.Object{SymmetricKey: &v2.SymmetricKey{KeyBlock: v2.KeyBlock{
			KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &value,
			CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: int32(a.bits),
		}}}}
}

func (dialect2) locate(f filter, limit int32) any {
	list := items(enum(kmip.TagObjectType, kmip.ObjectTypeSymmetricKey))
	if f.name != "" {
		list = append(list, name2(f.name))
	}
	if f.guid != nil {
		list = append(list, guid2(*f.guid))
	}
	return &v2.LocateRequest{MaximumItems: limit, Attributes: list}
}

func (dialect2) get(id, wrapping string) any {
	p := &v2.GetRequest{UniqueIdentifier: id}
	if wrapping != "" {
		spec := item(kmip.TagKeyWrappingSpecification, items(
			enum(kmip.TagWrappingMethod, kmip.WrappingMethodEncrypt),
			item(kmip.TagEncryptionKeyInformation, items(
				item(kmip.TagUniqueIdentifier, wrapping),
				item(kmip.TagCryptographicParameters, items(enum(kmip.TagBlockCipherMode, kmip.BlockCipherModeNISTKeyWrap))))),
			enum(kmip.TagEncodingOption, kmip.EncodingOptionNoEncoding)))
		p.KeyWrappingSpecification = &spec
	}
	return p
}

func (dialect2) getAttributes(id string) any {
	p := &v2.GetAttributesRequest{UniqueIdentifier: id}
	for _, tag := range []uint32{kmip.TagObjectType, kmip.TagName, kmip.TagState, kmip.TagCryptographicAlgorithm,
		kmip.TagCryptographicLength, kmip.TagApplicationSpecificInformation} {
		p.AttributeReference = append(p.AttributeReference, enum(v2.TagAttributeReference, tag))
	}
	return p
}

// customReference asks for the vendor attribute, which some servers refuse to hear of.
func (dialect2) customReference(id string) any {
	return &v2.GetAttributesRequest{UniqueIdentifier: id, AttributeReference: items(item(v2.TagAttributeReference,
		items(item(kmip.TagVendorIdentification, customVendor), item(kmip.TagAttributeName, customName2))))}
}

func (dialect2) addGUID(id string, guid dek.ID, custom bool) any {
	a := guid2(guid)
	if custom {
		a = item(kmip.TagAttribute, items(item(kmip.TagVendorIdentification, customVendor),
			item(kmip.TagAttributeName, customName2), item(kmip.TagAttributeValue, guid.String())))
	}
	return &v2.AddAttributeRequest{UniqueIdentifier: id, NewAttribute: items(a)}
}

func (dialect2) identified(_ kmip.Operation, id string) any {
	return &v2.Identified{UniqueIdentifier: id}
}

func (dialect2) revoke(id string, reason kmip.RevocationReasonCode, message string, since *time.Time) any {
	return &v2.RevokeRequest{UniqueIdentifier: id, CompromiseOccurrenceDate: since,
		RevocationReason: kmip.RevocationReason{RevocationReasonCode: reason, RevocationMessage: message}}
}

func (dialect2) discover() any { return &v2.DiscoverVersions{} }

func (dialect2) query() any {
	return &v2.QueryRequest{QueryFunction: []kmip.QueryFunction{kmip.QueryFunctionOperations, kmip.QueryFunctionServerInformation}}
}

func (dialect2) identifier(payload any) (string, bool) {
	switch p := payload.(type) {
	case *v2.CreateResponse:
		return p.UniqueIdentifier, true
	case *v2.Identified:
		return p.UniqueIdentifier, true
	}
	return "", false
}

func (dialect2) located(payload any) ([]string, int, bool) {
	p, ok := payload.(*v2.LocateResponse)
	if !ok {
		return nil, 0, false
	}
	total := len(p.UniqueIdentifier)
	if p.LocatedItems != nil {
		total = max(total, int(*p.LocatedItems))
	}
	return p.UniqueIdentifier, total, true
}

func (dialect2) object(payload any) (keyObject, bool) {
	p, ok := payload.(*v2.GetResponse)
	if !ok {
		return keyObject{}, false
	}
	o := keyObject{id: p.UniqueIdentifier}
	if p.Object.SymmetricKey == nil {
		return o, true
	}
	kb := &p.Object.SymmetricKey.KeyBlock
	o.symmetric, o.algorithm, o.bits, o.format = true, kb.CryptographicAlgorithm, int(kb.CryptographicLength), kb.KeyFormatType
	if kb.KeyWrappingData != nil {
		o.wrapped = true
		data, _ := kb.KeyWrappingData.Value.(ttlv.Struct)
		if v := v2.Find(data, kmip.TagEncodingOption); v != nil {
			e, _ := v.Value.(ttlv.Enum)
			o.encoding = kmip.EncodingOption(e)
		}
	}
	if kb.KeyValue == nil {
		return o, true
	}
	switch v := kb.KeyValue.Value.(type) {
	case []byte:
		o.material, o.wrapped = v, true
	case ttlv.Struct:
		o.material = material2(v)
	}
	return o, true
}

// material2 finds raw and transparent key material in a key value.
func material2(value ttlv.Struct) []byte {
	m := v2.Find(value, kmip.TagKeyMaterial)
	if m == nil {
		return nil
	}
	switch v := m.Value.(type) {
	case []byte:
		return v
	case ttlv.Struct:
		if k := v2.Find(v, kmip.TagKey); k != nil {
			raw, _ := k.Value.([]byte)
			return raw
		}
	}
	return nil
}

func (dialect2) attributes(payload any) (KeyInfo, bool) {
	p, ok := payload.(*v2.GetAttributesResponse)
	if !ok {
		return KeyInfo{}, false
	}
	k := KeyInfo{ID: p.UniqueIdentifier}
	for i := range p.Attributes {
		k.attribute2(&p.Attributes[i])
	}
	return k, true
}

func (k *KeyInfo) attribute2(a *ttlv.Value) {
	number, _ := a.Value.(ttlv.Enum)
	parts, _ := a.Value.(ttlv.Struct)
	switch a.Tag {
	case kmip.TagObjectType:
		k.symmetric = kmip.ObjectType(number) == kmip.ObjectTypeSymmetricKey
	case kmip.TagName:
		k.Names = append(k.Names, v2.Text(v2.Find(parts, kmip.TagNameValue)))
	case kmip.TagState:
		k.State = State(number)
	case kmip.TagCryptographicAlgorithm:
		k.algorithm = kmip.CryptographicAlgorithm(number)
	case kmip.TagCryptographicLength:
		bits, _ := a.Value.(int32)
		k.Bits = int(bits)
	case kmip.TagApplicationSpecificInformation:
		k.guidFrom(v2.Text(v2.Find(parts, kmip.TagApplicationNamespace)), v2.Text(v2.Find(parts, kmip.TagApplicationData)))
	case kmip.TagAttribute:
		if v2.Text(v2.Find(parts, kmip.TagVendorIdentification)) == customVendor &&
			v2.Text(v2.Find(parts, kmip.TagAttributeName)) == customName2 && k.GUID.IsZero() {
			k.guidFrom(namespace, v2.Text(v2.Find(parts, kmip.TagAttributeValue)))
		}
	}
}

func (dialect2) discovered(payload any) ([]Version, bool) {
	p, ok := payload.(*v2.DiscoverVersions)
	if !ok {
		return nil, false
	}
	return fromWires(p.ProtocolVersion), true
}

func (dialect2) operations(payload any) (ops []kmip.Operation, vendor string, ok bool) {
	p, ok := payload.(*ttlv.Struct)
	if !ok {
		return nil, "", false
	}
	for _, v := range *p {
		if op, isEnum := v.Value.(ttlv.Enum); isEnum && v.Tag == kmip.TagOperation {
			ops = append(ops, kmip.Operation(op))
		}
	}
	return ops, v2.Text(v2.Find(*p, kmip.TagVendorIdentification)), true
}
