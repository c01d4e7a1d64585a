package kms

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// noToken is a credential that must not be asked.
type noToken struct{ asked bool }

func (n *noToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	n.asked = true
	return azcore.AccessToken{}, errors.New("no")
}

// TestImpostor records what the format does not promise: a whole file made by
// somebody else, which names a server of his own, yields his key under the ID he
// chose, because nothing but the service vouches for a file. He sees no secret
// key, no token and no DEK, and gets nothing that exists: a volume's own key does
// not come out, and the keyring refuses other bytes under an ID that it has.
func TestImpostor(t *testing.T) {
	own, err := dek.Generate(256)
	require.NoError(t, err)
	defer own.Destroy()
	forged, err := dek.Import(own.ID(), []byte("his key, his key, his key, his k"))
	require.NoError(t, err)
	defer forged.Destroy()
	var seen []string
	server := func(serve func(http.Handler) *httptest.Server, says map[string]string) *httptest.Server {
		s := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			seen = append(seen, string(body))
			for _, values := range r.Header {
				seen = append(seen, values...)
			}
			answer(w, says)
		}))
		t.Cleanup(s.Close)
		return s
	}
	aws := server(httptest.NewServer, map[string]string{"KeyId": testARN, "Plaintext": base64.StdEncoding.EncodeToString(forged.ExposeSecret())})
	vault := server(httptest.NewTLSServer, map[string]string{"value": base64.RawURLEncoding.EncodeToString(forged.ExposeSecret())})
	token := &noToken{}
	for name, place := range map[string]Place{
		awsName:   {Provider: awsName, ServerKey: testARN, Region: "us-east-2", Endpoint: aws.URL},
		azureName: {Provider: azureName, ServerKey: vault.URL + "/keys/app/1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fsx.NewMem(1)
			c := &content{generation: 1, id: own.ID(), bits: 256, place: place, wrapped: Wrapped{Blob: []byte("anything")}}
			data, err := c.seal(forged)
			require.NoError(t, err)
			write(t, m, testPath, data)
			o := awsOptions(m, nil)
			o.Providers = []Provider{azureProvider{transport: vault.Client(), credential: token}}
			f, err := Open(testPath, o)
			require.NoError(t, err)
			k, err := f.Key(t.Context())
			require.NoError(t, err, "it is his key, and nothing here can know that")
			defer k.Destroy()
			require.True(t, k.Equal(forged))
			ring := dek.NewKeyring()
			defer ring.Close()
			require.NoError(t, ring.Activate(own, dek.Database, dek.Active))
			_, err = ring.ActivateFrom(t.Context(), f, dek.Database, dek.Active)
			require.ErrorIs(t, err, ErrWrongKey, "where the real key is active, his is refused")
		})
	}
	require.False(t, token.asked)
	for _, text := range seen {
		require.NotContains(t, strings.ReplaceAll(text, "SESSION-"+secretKey, ""), secretKey, "the session token alone signs nothing")
		require.NotContains(t, text, base64.StdEncoding.EncodeToString(own.ExposeSecret()))
	}
}
