package oasis

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/ovh/kmip-go"
	_ "github.com/ovh/kmip-go/payloads" // registers the payloads of 1.x
	"github.com/ovh/kmip-go/ttlv"
	"github.com/stretchr/testify/require"

	v2 "github.com/cofferdb/coffer/kmip/internal/v2"
	"github.com/cofferdb/coffer/kmip/internal/wire"
)

// tally is what became of messages.
type tally struct {
	messages int
	oracle   int // that the oracle cannot read
	decode   int // that do not decode here
	differ   int // that come out otherwise
	same     int
}

// count takes messages through decode and encode.
func count(t *testing.T, all []message, target func(request bool) any) tally {
	t.Helper()
	var n tally
	for _, m := range all {
		n.messages++
		if m.err != nil {
			t.Logf("%s: the oracle: %v", m, m.err)
			n.oracle++
			continue
		}
		require.NoError(t, wire.Check(m.bytes), m.String())
		require.NotContains(t, wire.Text(m.bytes), "no message", m.String())
		to := target(m.request)
		if err := ttlv.UnmarshalTTLV(m.bytes, to); err != nil {
			t.Logf("%s: %v", m, err)
			n.decode++
			continue
		}
		if again := ttlv.MarshalTTLV(to); !bytes.Equal(m.bytes, again) {
			t.Logf("%s differs:\n%s\n%s", m, wire.Text(m.bytes), wire.Text(again))
			n.differ++
			continue
		}
		n.same++
	}
	return n
}

// TestCodec1: the cases of 1.0 to 1.4, through the messages of the library.
func TestCodec1(t *testing.T) {
	dir := cases1(t)
	for version, want := range want1 {
		t.Run(version, func(t *testing.T) {
			all := load(t, filepath.Join(dir, version, "*.xml"))
			require.Equal(t, want, count(t, all, func(request bool) any {
				if request {
					return new(kmip.RequestMessage)
				}
				return new(kmip.ResponseMessage)
			}))
		})
	}
}

// TestCodec2: the mandatory cases of 2.0 and 2.1, through messages of our own.
func TestCodec2(t *testing.T) {
	dir := cases2(t)
	for version, want := range want2 {
		t.Run(version, func(t *testing.T) {
			all := load(t, filepath.Join(dir, version, "mandatory", "*.xml"))
			require.Equal(t, want, count(t, all, func(request bool) any {
				if request {
					return new(v2.RequestMessage)
				}
				return new(v2.ResponseMessage)
			}))
		})
	}
}

// The 15 messages of 1.x that differ are answers "operation pending", which Coffer
// neither asks for nor writes: the library writes a result reason of 0 into them.
var want1 = map[string]tally{
	"v1.0": {messages: 884, differ: 5, same: 879},
	"v1.1": {messages: 982, differ: 5, same: 977},
	"v1.2": {messages: 926, differ: 5, same: 921},
	"v1.3": {messages: 746, same: 746},
	"v1.4": {messages: 1772, same: 1772},
}

// The oracle does not know the enumeration of PKCS #11 functions: 6 messages of each.
var want2 = map[string]tally{
	"2.0": {messages: 912, oracle: 6, same: 906},
	"2.1": {messages: 1122, oracle: 6, same: 1116},
}
