package kms

import (
	"bytes"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/stretchr/testify/require"
)

// FuzzDecode: no bytes make the decoder fail otherwise than by an error, and what
// it accepts it writes again to the byte.
func FuzzDecode(f *testing.F) {
	c := &content{generation: 1, id: dek.ID{1}, created: 1, rewrapped: 2, bits: 256,
		place:       Place{Provider: "aws", ServerKey: "alias/x", Region: "us-east-2", Endpoint: "https://h", Env: map[string]string{"AWS_PROFILE": "p", "A": ""}},
		description: "d", wrapped: Wrapped{Blob: []byte{1, 2, 3}, By: "arn", Algorithm: "SYMMETRIC_DEFAULT"}}
	whole := appendCRC(append(c.marshal(), make([]byte, macSize)...))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic))
	c.place = Place{Provider: "azure", ServerKey: "https://v.vault.azure.net/keys/k/1"}
	f.Add(appendCRC(append(c.marshal(), make([]byte, macSize)...)))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range [][]byte{data, fixed(data)} {
			c, err := decode(d)
			if err != nil {
				continue
			}
			require.NoError(t, c.checkFields(), "what is read could be written")
			require.Equal(t, d[:len(d)-trailerSize], c.marshal())
		}
	})
}

// fixed puts length and checksum right, so that the fields behind them are reached.
func fixed(data []byte) []byte {
	if len(data) < minFileSize {
		return data
	}
	d := bytes.Clone(data[:len(data)-crcSize])
	copy(d, magic)
	le.PutUint16(d[8:], formatVersion)
	le.PutUint32(d[12:], uint32(len(data)))
	return appendCRC(d)
}
