package kmip

import (
	"testing"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/payloads"
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	v2 "github.com/cofferdb/coffer/kmip/internal/v2"
	"github.com/cofferdb/coffer/kmip/internal/wire"
)

// answers are proper answers of both major versions: where fuzzing begins.
func answers() [][]byte {
	script := newScripted(dek.NewID())
	var all [][]byte
	for _, q := range []kmip.OperationPayload{&payloads.DiscoverVersionsRequestPayload{}, &payloads.LocateRequestPayload{},
		&payloads.GetAttributesRequestPayload{}, &payloads.GetRequestPayload{}, &payloads.CreateRequestPayload{}, &payloads.DestroyRequestPayload{}} {
		all = append(all, script.respond(kmip.RequestBatchItem{Operation: q.Operation(), RequestPayload: q}))
	}
	all = append(all, answerTo(kmip.OperationGet, V10, kmip.ResultStatusOperationFailed))
	value := item(kmip.TagKeyValue, items(item(kmip.TagKeyMaterial, make([]byte, 32))))
	for op, p := range map[kmip.Operation]any{
		kmip.OperationCreate:           &v2.CreateResponse{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: "1"},
		kmip.OperationDestroy:          &v2.Identified{UniqueIdentifier: "1"},
		kmip.OperationLocate:           &v2.LocateResponse{UniqueIdentifier: []string{"1", "2"}},
		kmip.OperationDiscoverVersions: &v2.DiscoverVersions{ProtocolVersion: []kmip.ProtocolVersion{V21.wire()}},
		kmip.OperationQuery:            items(enum(kmip.TagOperation, kmip.OperationGet)),
		kmip.OperationGetAttributes: &v2.GetAttributesResponse{UniqueIdentifier: "1",
			Attributes: items(enum(kmip.TagState, kmip.StateActive), name2("n"), guid2(dek.NewID()))},
		kmip.OperationGet: &v2.GetResponse{ObjectType: kmip.ObjectTypeSymmetricKey, UniqueIdentifier: "1",
			Object: v2.Object{SymmetricKey: &v2.SymmetricKey{KeyBlock: v2.KeyBlock{KeyFormatType: kmip.KeyFormatTypeRaw, KeyValue: &value}}}},
	} {
		all = append(all, ttlv.MarshalTTLV(&v2.ResponseMessage{
			ResponseHeader: v2.ResponseHeader{ProtocolVersion: V21.wire(), TimeStamp: time.Unix(1, 0), BatchCount: 1},
			BatchItem:      []v2.ResponseItem{{Operation: op, Payload: p}},
		}))
	}
	return all
}

// readAll does with an answer all that a client may do with it.
func readAll(b []byte) (decoded bool) {
	if wire.Check(b) != nil {
		return false
	}
	_ = wire.Text(b)
	for _, d := range []dialect{dialect1{V14}, dialect2{}} {
		r, err := d.parse(append([]byte(nil), b...))
		if err != nil {
			continue
		}
		decoded = true
		_, _ = d.identifier(r.payload)
		_, _, _ = d.located(r.payload)
		_, _ = d.discovered(r.payload)
		_, _, _ = d.operations(r.payload)
		if k, ok := d.attributes(r.payload); ok {
			_, _ = k.Usable(), k.Writable()
		}
		if o, ok := d.object(r.payload); ok {
			_, _ = o.openable(false), o.openable(true)
		}
		_, _ = r.result.Error(), r.result.hint()
	}
	return decoded
}

// FuzzAnswer: no answer, however it looks, makes the client panic.
func FuzzAnswer(f *testing.F) {
	for _, b := range answers() {
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { readAll(b) })
}

// TestAnswersDecode: the corpus is worth fuzzing.
func TestAnswersDecode(t *testing.T) {
	all := answers()
	require.Len(t, all, 14)
	for i, b := range all {
		require.True(t, readAll(b), i)
		for n := range b { // and no beginning of one is more than an error
			readAll(b[:n])
		}
	}
}

// FuzzConfig: what parses is written and read again as the same.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"format":1,"servers":[{"name":"a","hosts":["h"],"version":"1.4","ca":"/c","cert":"/d","key":"/e","timeout":"5s"}]}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err != nil {
			return
		}
		require.NoError(t, c.check())
	})
}
