package element

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// No error, and nothing that can be printed, has plaintext, context or key in it.
func TestErrorsKeepSecrets(t *testing.T) {
	c, ids := newCipher(t, 256)
	secret, context := []byte("4111-1111-1111-1111"), []byte("context-of-a-value")
	var errs []error
	add := func(err error) {
		require.Error(t, err)
		errs = append(errs, err)
	}
	for _, suite := range allowed() {
		ctx := context
		if !suite.Authenticated() {
			ctx = nil
		}
		ct, err := c.EncryptWith(suite, secret, ids[0], ctx)
		require.NoError(t, err)
		require.False(t, bytes.Contains(ct, secret))
		if suite.Authenticated() {
			ct[len(ct)-1] ^= 1
			_, err = c.Decrypt(ct, ctx)
			add(err)
			_, err = c.Decrypt(ct[:50], ctx)
			add(err)
		}
		_, err = c.Rekey(ct, dek.NewID(), ctx)
		add(err)
		_, err = c.EncryptWith(suite, secret, dek.NewID(), ctx)
		add(err)
	}
	_, err := c.EncryptDigits(string(secret), ids[0], context)
	add(err)
	_, err = c.Index(ids[0], context, secret, 1)
	add(err)
	sealed := stream(t, c, ids[0], secret, context, StreamOptions{})
	sealed[len(sealed)-1] ^= 1
	_, err = read(c, sealed, context)
	add(err)
	_, err = DecodeText(TextPrefix + string(secret))
	add(err)
	for _, err := range errs {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			text := fmt.Sprintf(verb, err)
			require.NotContains(t, text, "1111")
			require.NotContains(t, text, string(context))
		}
	}
	k := fixedKey(t, 256, 0)
	defer k.Destroy()
	require.NotContains(t, fmt.Sprintf("%v %+v", c, c), string(k.ExposeSecret()[:8]))
}

// A failed opening leaves no plaintext in the room it was given, and a stream none in the buffers it gives back.
func TestPlaintextIsWiped(t *testing.T) {
	c, ids := newCipher(t, 256, 256)
	for _, suite := range allowed() {
		if !suite.Authenticated() {
			continue
		}
		ct, err := c.EncryptWith(suite, bytes.Repeat([]byte("secret "), 9), ids[0], contextOf(suite))
		require.NoError(t, err)
		room := make([]byte, 0, 256)
		ct[len(ct)-1] ^= 1
		_, err = c.AppendDecrypt(room, ct, contextOf(suite))
		require.ErrorIs(t, err, ErrTampered)
		require.Equal(t, make([]byte, 256), room[:256], "%v", suite)
		ct[len(ct)-1] ^= 1
		ct[headerSize-1] ^= 1 // authentic under the right header, which this is not
		_, err = c.AppendDecrypt(room, ct, contextOf(suite))
		require.ErrorIs(t, err, ErrTampered)
		require.Equal(t, make([]byte, 256), room[:256], "%v", suite)
	}
	for range 3 {
		sealed := stream(t, c, ids[0], pattern(10*small), nil, StreamOptions{Segment: small})
		_, err := read(c, sealed, nil)
		require.NoError(t, err)
		if b, ok := buffers.Get().(*[]byte); ok {
			require.True(t, zero((*b)[:cap(*b)]))
		}
	}
}
