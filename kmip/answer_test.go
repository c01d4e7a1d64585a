package kmip

import (
	"bytes"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/payloads"
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// answerTo encodes an answer without a payload of any use, in KMIP 1.x.
func answerTo(op kmip.Operation, v Version, status kmip.ResultStatus) []byte {
	return answerWith(v, kmip.ResponseBatchItem{Operation: op, ResultStatus: status})
}

func answerWith(v Version, it kmip.ResponseBatchItem) []byte {
	return ttlv.MarshalTTLV(&kmip.ResponseMessage{
		Header:    kmip.ResponseHeader{ProtocolVersion: v.wire(), TimeStamp: time.Now(), BatchCount: 1},
		BatchItem: []kmip.ResponseBatchItem{it},
	})
}

// scripted is a server of KMIP 1.4 with one key, which a test makes say what it likes.
type scripted struct {
	mu        sync.Mutex // guards all
	attrs     []kmip.Attribute
	key       kmip.KeyBlock
	id        string // in every answer; "" is the right one
	located   []string
	takesGUID bool
	offers    []kmip.Operation // what it says that it does
	ops       []kmip.Operation // what was asked
	refuse    map[kmip.Operation]kmip.ResultReason
}

const theKey = "key-1"

func newScripted(guid dek.ID) *scripted {
	raw := []byte("0123456789abcdef0123456789abcdef")
	return &scripted{
		attrs: []kmip.Attribute{
			{AttributeName: kmip.AttributeNameObjectType, AttributeValue: kmip.ObjectTypeSymmetricKey},
			{AttributeName: kmip.AttributeNameState, AttributeValue: kmip.StateActive},
			{AttributeName: kmip.AttributeNameCryptographicAlgorithm, AttributeValue: kmip.CryptographicAlgorithmAES},
			{AttributeName: kmip.AttributeNameCryptographicLength, AttributeValue: int32(256)},
			guid1(guid),
		},
		key: kmip.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, CryptographicAlgorithm: kmip.CryptographicAlgorithmAES, CryptographicLength: 256,
			KeyValue: &kmip.KeyValue{Plain: &kmip.PlainKeyValue{KeyMaterial: kmip.KeyMaterial{Bytes: &raw}}}},
		located: []string{theKey},
		refuse:  map[kmip.Operation]kmip.ResultReason{},
	}
}

func (s *scripted) answer(c net.Conn, request []byte) {
	var m kmip.RequestMessage
	if ttlv.UnmarshalTTLV(request, &m) != nil {
		return
	}
	_, _ = c.Write(s.respond(m.BatchItem[0]))
}

func (s *scripted) respond(it kmip.RequestBatchItem) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops = append(s.ops, it.Operation)
	if reason := s.refuse[it.Operation]; reason != 0 {
		return answerWith(V14, kmip.ResponseBatchItem{Operation: it.Operation, ResultStatus: kmip.ResultStatusOperationFailed,
			ResultReason: reason, ResultMessage: "no\nway"})
	}
	id := theKey
	if s.id != "" {
		id = s.id
	}
	var p kmip.OperationPayload
	switch q := it.RequestPayload.(type) {
	case *payloads.DiscoverVersionsRequestPayload:
		p = &payloads.DiscoverVersionsResponsePayload{ProtocolVersion: []kmip.ProtocolVersion{V14.wire()}}
	case *payloads.QueryRequestPayload:
		p = &payloads.QueryResponsePayload{Operations: s.offers}
	case *payloads.LocateRequestPayload:
		p = &payloads.LocateResponsePayload{UniqueIdentifier: s.located}
	case *payloads.GetAttributesRequestPayload:
		p = &payloads.GetAttributesResponsePayload{UniqueIdentifier: id, Attribute: s.attrs}
	case *payloads.GetRequestPayload:
		p = &payloads.GetResponsePayload{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: id, Object: &kmip.SymmetricKey{KeyBlock: s.key}}
	case *payloads.CreateRequestPayload:
		p = &payloads.CreateResponsePayload{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: id}
	case *payloads.DestroyRequestPayload:
		p = &payloads.DestroyResponsePayload{UniqueIdentifier: id}
	case *payloads.AddAttributeRequestPayload:
		if s.takesGUID {
			s.attrs = append(s.attrs, q.Attribute)
		}
		p = &payloads.AddAttributeResponsePayload{UniqueIdentifier: id, Attribute: q.Attribute}
	}
	return answerWith(V14, kmip.ResponseBatchItem{Operation: it.Operation, ResponsePayload: p})
}

// set replaces an attribute, or removes it for nil.
func (s *scripted) set(name kmip.AttributeName, value any) {
	for i := range s.attrs {
		if s.attrs[i].AttributeName == name && value != nil {
			s.attrs[i].AttributeValue = value
		} else if s.attrs[i].AttributeName == name {
			s.attrs = append(s.attrs[:i], s.attrs[i+1:]...)
			return
		}
	}
}

// TestAnswersAboutKeys: answers that are proper KMIP and not what a key can be.
func TestAnswersAboutKeys(t *testing.T) {
	wrapped := make([]byte, 40)
	for _, c := range []struct {
		name   string
		change func(s *scripted)
		kind   error
		text   string
	}{
		{"as it should be", func(*scripted) {}, nil, ""},
		{"transparent", func(s *scripted) {
			s.key.KeyFormatType = kmip.KeyFormatTypeTransparentSymmetricKey
			s.key.KeyValue = &kmip.KeyValue{Plain: &kmip.PlainKeyValue{KeyMaterial: kmip.KeyMaterial{TransparentSymmetricKey: &kmip.TransparentSymmetricKey{Key: bytes.Repeat([]byte("0123"), 8)}}}}
		}, nil, ""},
		{"state not said", func(s *scripted) { s.set(kmip.AttributeNameState, nil) }, nil, ""},
		{"another key", func(s *scripted) { s.id = "key-2" }, ErrProtocol, "another key"},
		{"destroyed", func(s *scripted) { s.set(kmip.AttributeNameState, kmip.StateDestroyed) }, ErrState, "destroyed"},
		{"destroyed and compromised", func(s *scripted) { s.set(kmip.AttributeNameState, kmip.StateDestroyedCompromised) }, ErrState, "destroyed"},
		{"not for AES", func(s *scripted) { s.set(kmip.AttributeNameCryptographicAlgorithm, kmip.CryptographicAlgorithm3DES) }, ErrUnsupported, "AES"},
		{"64 bits", func(s *scripted) { s.set(kmip.AttributeNameCryptographicLength, int32(64)) }, ErrUnsupported, "64 bits"},
		{"another length", func(s *scripted) { s.set(kmip.AttributeNameCryptographicLength, int32(128)) }, ErrUnsupported, "256 bits, and the server says 128"},
		{"not for AES after all", func(s *scripted) { s.key.CryptographicAlgorithm = kmip.CryptographicAlgorithmBlowfish }, ErrUnsupported, "AES"},
		{"24 bits", func(s *scripted) {
			raw := []byte{1, 2, 3}
			s.key.KeyValue.Plain.KeyMaterial.Bytes = &raw
		}, ErrUnsupported, "24 bits"},
		{"blanked out", func(s *scripted) {
			raw := make([]byte, 32)
			s.key.KeyValue.Plain.KeyMaterial.Bytes = &raw
		}, ErrUnsupported, "the same byte"},
		{"no key in it", func(s *scripted) { s.key.KeyValue = nil }, ErrUnsupported, "holds no key"},
		{"wrapped", func(s *scripted) {
			s.key.KeyValue = &kmip.KeyValue{Wrapped: &wrapped}
			s.key.KeyWrappingData = &kmip.KeyWrappingData{WrappingMethod: kmip.WrappingMethodEncrypt}
		}, ErrUnsupported, "wrapped"},
		{"PKCS #8", func(s *scripted) { s.key.KeyFormatType = kmip.KeyFormatTypePKCS_8 }, ErrUnsupported, "format"},
		{"no GUID", func(s *scripted) { s.set(kmip.AttributeNameApplicationSpecificInformation, nil) }, ErrForeign, "without a GUID"},
		{"another name space", func(s *scripted) {
			s.set(kmip.AttributeNameApplicationSpecificInformation, kmip.ApplicationSpecificInformation{ApplicationNamespace: "ssl", ApplicationData: dek.NewID().String()})
		}, ErrForeign, "without a GUID"},
		{"a GUID that is none", func(s *scripted) {
			s.set(kmip.AttributeNameApplicationSpecificInformation, kmip.ApplicationSpecificInformation{ApplicationNamespace: "coffer", ApplicationData: "x"})
		}, ErrForeign, "without a GUID"},
		{"denied", func(s *scripted) { s.refuse[kmip.OperationGet] = kmip.ResultReasonPermissionDenied }, ErrDenied, `PermissionDenied: "no\nway"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			guid := dek.NewID()
			script := newScripted(guid)
			c.change(script)
			f := startFake(t, honest, script.answer)
			src := &Source{Server: f.as("anna"), IDs: []string{theKey}}
			keys, err := src.Keys(t.Context())
			if c.kind == nil {
				require.NoError(t, err)
				require.Equal(t, guid, keys[0].ID())
				require.True(t, src.Mode(guid).Valid())
				return
			}
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.text)
			require.Empty(t, keys)
		})
	}
}

// TestLocatesTooMuch: a server that does not hold to the number it was given.
func TestLocatesTooMuch(t *testing.T) {
	script := newScripted(dek.NewID())
	for i := range 1100 {
		script.located = append(script.located, "key-"+strconv.Itoa(i))
	}
	f := startFake(t, honest, script.answer)
	c, err := Dial(t.Context(), f.as("anna"), nil)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.List(t.Context())
	require.ErrorIs(t, err, ErrTooMany)
	require.ErrorContains(t, err, "more than 1000")
	_, err = c.Find(t.Context(), dek.NewID().String())
	require.ErrorIs(t, err, ErrTooMany)
}

// TestAdopt gives a foreign key a GUID where the server takes one.
func TestAdopt(t *testing.T) {
	script := newScripted(dek.NewID())
	script.set(kmip.AttributeNameApplicationSpecificInformation, nil)
	f := startFake(t, honest, script.answer)
	for _, offers := range [][]kmip.Operation{nil, {kmip.OperationAddAttribute}} {
		script.mu.Lock()
		script.offers, script.takesGUID = offers, false
		script.mu.Unlock()
		c, err := Dial(t.Context(), f.as("anna"), nil)
		require.NoError(t, err)
		adopt(t, script, c, offers != nil)
		require.NoError(t, c.Close())
	}
}

// adopt: custom says that the server also takes custom attributes.
func adopt(t *testing.T, script *scripted, c *Client, custom bool) {
	_, err := c.Adopt(t.Context(), theKey)
	require.ErrorIs(t, err, ErrForeign, "it says yes and does nothing")
	script.mu.Lock()
	script.takesGUID = true
	script.attrs = script.attrs[:4]
	script.mu.Unlock()
	k, err := c.Adopt(t.Context(), theKey)
	require.NoError(t, err)
	require.False(t, k.GUID.IsZero())
	same, err := c.Adopt(t.Context(), theKey)
	require.NoError(t, err)
	require.Equal(t, k.GUID, same.GUID)
	script.mu.Lock()
	defer script.mu.Unlock()
	last := script.attrs[len(script.attrs)-1]
	require.Len(t, script.attrs, 5, "in one place")
	require.Equal(t, custom, last.AttributeName == customName)
	script.attrs = script.attrs[:4]
}

// TestCreateWithoutGUID: a key that cannot carry its GUID is destroyed again.
func TestCreateWithoutGUID(t *testing.T) {
	script := newScripted(dek.NewID()) // says another GUID than the one that it is given
	f := startFake(t, honest, script.answer)
	c, err := Dial(t.Context(), f.as("anna"), nil)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Create(t.Context(), NewKey{})
	require.ErrorIs(t, err, ErrForeign)
	require.Contains(t, script.ops, kmip.OperationDestroy)

	script.mu.Lock()
	script.ops = nil
	script.refuse[kmip.OperationCreate] = kmip.ResultReasonInvalidField
	script.mu.Unlock()
	_, err = c.Create(t.Context(), NewKey{})
	require.ErrorIs(t, err, ErrFailed)
	require.Equal(t, []kmip.Operation{kmip.OperationCreate, kmip.OperationCreate}, script.ops, "once with the GUID, once without")
	_, err = c.Create(t.Context(), NewKey{Bits: 100})
	require.ErrorIs(t, err, fault.Usage)
}
