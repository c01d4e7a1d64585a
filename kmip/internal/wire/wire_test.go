package wire

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"
)

// message has one item of every type.
func message() []byte {
	key := []byte("0123456789abcdef")
	return ttlv.MarshalTTLV(ttlv.Value{Tag: Response, Value: ttlv.Struct{
		{Tag: kmip.TagBatchCount, Value: int32(1)},
		{Tag: kmip.TagUsageLimitsTotal, Value: int64(2)},
		{Tag: kmip.TagOperation, Value: ttlv.Enum(10)},
		{Tag: kmip.TagBatchOrderOption, Value: true},
		{Tag: kmip.TagUniqueIdentifier, Value: "id \u00e9\n"},
		{Tag: kmip.TagNonceValue, Value: []byte{1, 2, 3}},
		{Tag: kmip.TagKeyBlock, Value: ttlv.Struct{{Tag: kmip.TagKeyValue, Value: ttlv.Struct{{Tag: kmip.TagKeyMaterial, Value: key}}}}},
		{Tag: kmip.TagCredentialValue, Value: ttlv.Struct{{Tag: kmip.TagPassword, Value: "hunter2"}}},
		{Tag: tagAttributeReference, Value: ttlv.Enum(kmip.TagState)},
	}})
}

func TestText(t *testing.T) {
	text := Text(message())
	for _, want := range []string{"ResponseMessage{", "BatchCount=1", "UsageLimitsTotal=2", "Operation=Get", "BatchOrderOption=true",
		`UniqueIdentifier="id \u00e9\n"`, "NonceValue=(3 bytes)", "KeyValue=(24 bytes not shown)", "CredentialValue=(16 bytes not shown)", "AttributeReference=State"} {
		require.Contains(t, text, want)
	}
	for _, secret := range []string{"0123456789abcdef", "30313233", "hunter2"} {
		require.NotContains(t, text, secret)
	}
	require.Equal(t, "(3 bytes that are no message)", Text([]byte("key")))
}

// TestCheck: any byte of a length or type changed is found, or harmless.
func TestCheck(t *testing.T) {
	good := message()
	require.NoError(t, Check(good))
	for n := range good {
		require.ErrorIs(t, Check(good[:n]), ErrMalformed, n)
	}
	require.ErrorIs(t, Check(append(bytes.Clone(good), 0)), ErrMalformed)
	for _, c := range []struct {
		name string
		item []byte
	}{
		{"short integer", []byte{0x42, 0, 1, 2, 0, 0, 0, 0}},
		{"integer of 8", []byte{0x42, 0, 1, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"short date", []byte{0x42, 0, 1, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"short boolean", []byte{0x42, 0, 1, 6, 0, 0, 0, 0}},
		{"odd big integer", []byte{0x42, 0, 1, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"type 0", []byte{0x42, 0, 1, 0, 0, 0, 0, 0}},
		{"type 11", []byte{0x42, 0, 1, 11, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"no text", []byte{0x42, 0, 1, 7, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0}},
		{"past the end", []byte{0x42, 0, 1, 8, 0xff, 0xff, 0xff, 0xff}},
	} {
		require.ErrorIs(t, Check(c.item), ErrMalformed, c.name)
	}
	deep := []byte{}
	for range maxDepth + 1 {
		deep = append([]byte{0x42, 0, 1, 1, 0, 0, byte(len(deep) >> 8), byte(len(deep))}, deep...)
	}
	require.ErrorIs(t, Check(deep), ErrMalformed)
	require.NoError(t, Check(deep[HeaderSize:]))
	many := bytes.Repeat([]byte{0x42, 0, 1, 8, 0, 0, 0, 0}, maxItems)
	many = append([]byte{0x42, 0, 1, 1, 0, 8, 0, 0}, many...)
	require.ErrorIs(t, Check(many), ErrMalformed)
}

func TestReadFrame(t *testing.T) {
	good := message()
	got, err := ReadFrame(iotest.OneByteReader(bytes.NewReader(append(bytes.Clone(good), "next"...))), Response, DefaultMax)
	require.NoError(t, err)
	require.Equal(t, good, got)
	_, err = ReadFrame(bytes.NewReader(good), Request, DefaultMax)
	require.ErrorIs(t, err, ErrMalformed)
	_, err = ReadFrame(bytes.NewReader(good), Response, len(good)-1)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = ReadFrame(strings.NewReader(""), Response, DefaultMax)
	require.ErrorIs(t, err, io.EOF)
	for n := 1; n < len(good); n++ {
		_, err = ReadFrame(bytes.NewReader(good[:n]), Response, DefaultMax)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, n)
	}
	_, err = ReadFrame(bytes.NewReader([]byte{0x42, 0, 0x7b, 1, 0, 0, 0, 7}), Response, DefaultMax)
	require.ErrorIs(t, err, ErrMalformed)
	big := ttlv.MarshalTTLV(ttlv.Value{Tag: Response, Value: ttlv.Struct{{Tag: kmip.TagNonceValue, Value: make([]byte, 100_000)}}})
	got, err = ReadFrame(bytes.NewReader(big), Response, DefaultMax)
	require.NoError(t, err)
	require.Equal(t, big, got)
}

// FuzzCheck: what passes is decoded and encoded by the library, which gives the
// same from then on, and printing it never fails. The library's decoder changes
// the bytes of a negative big integer where they lie: it is given copies.
func FuzzCheck(f *testing.F) {
	f.Add(message())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = Text(b)
		if Check(b) != nil {
			return
		}
		d, err := ttlv.NewTTLVDecoder(bytes.Clone(b))
		require.NoError(t, err)
		var v ttlv.Value
		require.NoError(t, v.DecodeTTLV(&d))
		again := ttlv.MarshalTTLV(v)
		require.NoError(t, Check(again))
		d, err = ttlv.NewTTLVDecoder(bytes.Clone(again))
		require.NoError(t, err)
		var same ttlv.Value
		require.NoError(t, same.DecodeTTLV(&d))
		require.Equal(t, again, ttlv.MarshalTTLV(same))
	})
}
