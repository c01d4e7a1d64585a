package kms

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	azfake "github.com/Azure/azure-sdk-for-go/sdk/azcore/fake"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys/fake"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/kms/internal/testvault"
)

// azureScene is a vault and options with which it can be used.
func azureScene(t *testing.T, log *bytes.Buffer) (*testvault.Vault, *fsx.Mem, *Options) {
	t.Helper()
	v := testvault.New("testkey")
	t.Cleanup(v.Close)
	m := fsx.NewMem(1)
	write(t, m, "/ca.pem", v.CA())
	o := quick(m, log)
	o.Private = PrivateCloud{Authority: v.URL, CAFile: "/ca.pem", SkipResourceCheck: true, SkipDiscovery: true}
	env := map[string]string{"AZURE_CLIENT_SECRET": testvault.Secret}
	o.getenv = func(name string) string { return env[name] }
	return v, m, o
}

func azurePlace(v *testvault.Vault) Place {
	return Place{Provider: "Azure", ServerKey: v.URL + "/keys/testkey",
		Env: map[string]string{"AZURE_TENANT_ID": testvault.Tenant, "AZURE_CLIENT_ID": testvault.Client}}
}

// azidentity and azkeys against a vault over TLS: create, open, rotate, rewrap, delete.
func TestAzure(t *testing.T) {
	v, m, o := azureScene(t, nil)
	f, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: azurePlace(v)})
	require.NoError(t, err)
	info := f.Info()
	require.Equal(t, "RSA-OAEP-256", info.Algorithm)
	require.Equal(t, v.URL+"/keys/testkey/"+strings.Repeat("0", 31)+"1", info.WrappedBy, "the version is pinned")
	k, err := f.Key(t.Context())
	require.NoError(t, err)
	defer k.Destroy()

	v.Rotate("testkey")
	g, err := Open(testPath, o)
	require.NoError(t, err)
	again, err := g.Key(t.Context())
	require.NoError(t, err, "the old version still unwraps")
	require.True(t, k.Equal(again))
	again.Destroy()
	require.NoError(t, g.Rewrap(t.Context(), Place{}))
	require.Equal(t, v.URL+"/keys/testkey/"+strings.Repeat("0", 31)+"2", g.Info().WrappedBy)
	v.Delete("testkey")
	again, err = g.Key(t.Context())
	require.NoError(t, err)
	require.True(t, k.Equal(again))
	again.Destroy()
	_, err = f.Key(t.Context())
	require.ErrorIs(t, err, ErrKeyUnusable, "a deleted version")
	require.NotContains(t, string(read(t, m, testPath)), testvault.Secret)

	checks := Probe(t.Context(), testPath, o)
	var steps []string
	for _, c := range checks {
		require.NoError(t, c.Err, c.Step)
		steps = append(steps, c.Step)
	}
	require.Equal(t, []string{"file", "place", "name resolution", "connection", "TLS", "credentials", "unwrap", "wrap"}, steps)
	require.Contains(t, checks[4].Detail, "until 20")
	v.Disable("testkey")
	checks = Probe(t.Context(), testPath, o)
	require.ErrorIs(t, checks[len(checks)-1].Err, ErrKeyUnusable)
	require.Contains(t, checks[len(checks)-1].Hint, "Enable")
}

// secretDEK is a key that is looked for where nothing of it may be.
const secretDEK = "0123456789abcdefHUSHhush89ABCDEF"

// Each fault is told apart, says what to do, writes nothing and shows no secret.
func TestAzureFaults(t *testing.T) {
	isToken := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token") }
	isKey := func(r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/keys/") && r.Header.Get("Authorization") != ""
	}
	type fn = func(http.ResponseWriter)
	vault := func(status int, code, inner, message string) fn {
		return func(w http.ResponseWriter) { testvault.Fail(w, status, code, inner, message) }
	}
	page := func(status int, body string) fn {
		return func(w http.ResponseWriter) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	for name, c := range map[string]struct {
		on    func(*http.Request) bool
		fault fn
		want  error
		tries int
		hint  string
	}{
		"wrong kind":       {isKey, vault(400, "BadParameter", "", "Key type EC does not support this operation"), ErrKeyUnusable, 1, "RSA"},
		"not permitted":    {isKey, vault(403, "Forbidden", "KeyOperationForbidden", "Operation wrapKey is not permitted on this key."), ErrKeyUnusable, 1, "wrapKey"},
		"deleted version":  {isKey, vault(404, "KeyNotFound", "", ""), ErrKeyUnusable, 1, "recover"},
		"disabled":         {isKey, vault(403, "Forbidden", "KeyDisabled", ""), ErrKeyUnusable, 1, "Enable"},
		"denied":           {isKey, vault(403, "Forbidden", "ForbiddenByRbac", "Caller is not authorized"), ErrDenied, 1, "unwrapKey"},
		"denied, no code":  {isKey, vault(403, "Forbidden", "", ""), ErrDenied, 1, "unwrapKey"},
		"429":              {isKey, vault(429, "Throttled", "", ""), ErrThrottled, 5, "quota"},
		"500":              {isKey, vault(500, "InternalServerError", "", ""), ErrUnavailable, 5, "later"},
		"503 of a proxy":   {isKey, page(503, "<html>"), ErrUnavailable, 5, "later"},
		"token not taken":  {isKey, vault(401, "Unauthorized", "", "AKV10022: Invalid audience"), ErrCredentials, 0, "tenant"},
		"garbage":          {isKey, page(200, "\x00 no JSON"), ErrAnswer, 1, "endpoint"},
		"another key":      {isKey, page(200, `{"kid":"https://evil/keys/testkey/1","value":"AAAA"}`), ErrAnswer, 1, "endpoint"},
		"no kid":           {isKey, page(200, `{"value":"AAAA"}`), ErrAnswer, 1, "endpoint"},
		"oversized":        {isKey, page(200, `{"value":"`+strings.Repeat("A", 3<<20)), ErrAnswer, 1, "endpoint"},
		"repeats a secret": {isToken, page(200, `{"access_token":"`+testvault.Token+`", broken`), nil, 0, ""},
		"invalid client":   {isToken, page(401, `{"error":"invalid_client","error_description":"`+testvault.Secret+`"}`), ErrCredentials, 1, "az login"},
		"token 500":        {isToken, page(500, testvault.Secret), ErrUnavailable, 0, "later"},
		"token 429":        {isToken, page(429, testvault.Secret), ErrThrottled, 0, "quota"},
		"challenge garbage": {func(*http.Request) bool { return true }, func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer authorization="x", resource="https://vault.azure.net"`)
			w.WriteHeader(401)
		}, ErrAnswer, 1, "endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			v, m, o := azureScene(t, &log)
			hits := 0
			v.Fault(func(w http.ResponseWriter, r *http.Request) bool {
				if !c.on(r) {
					return false
				}
				hits++
				c.fault(w)
				return true
			})
			key, err := dek.Import(dek.NewID(), []byte(secretDEK))
			require.NoError(t, err)
			defer key.Destroy()
			_, err = Create(t.Context(), testPath, CreateOptions{Options: *o, Place: azurePlace(v), Key: key})
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				require.Contains(t, fault.HintOf(err), c.hint)
			}
			if c.tries > 0 {
				require.Equal(t, c.tries, hits)
			}
			names, dirErr := m.ReadDir("/")
			require.NoError(t, dirErr)
			require.Equal(t, []string{"ca.pem"}, names, "nothing is written")
			shown := err.Error() + fault.HintOf(err) + log.String()
			require.NotContains(t, shown, "HUSH")
			require.NotContains(t, shown, base64.RawURLEncoding.EncodeToString([]byte(secretDEK))[:16])
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

// What a private cloud needs is off by default, and without it nothing is sent.
func TestAzureIsCarefulByDefault(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"resource check": func(o *Options) { o.Private.SkipResourceCheck = false },
		"authority":      func(o *Options) { o.Private.CAFile = "" },
	} {
		t.Run(name, func(t *testing.T) {
			v, _, o := azureScene(t, nil)
			spoil(o)
			o.Attempts = 1
			_, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: azurePlace(v)})
			require.Error(t, err)
			require.NotEmpty(t, fault.HintOf(err))
			require.False(t, slices.ContainsFunc(v.Calls(), func(p string) bool { return strings.HasSuffix(p, "/token") }),
				"no secret was sent: %v", v.Calls())
		})
	}
}

// A file that was altered to unwrap elsewhere sends no token there.
func TestAzureStaysAtItsVault(t *testing.T) {
	v, m, o := azureScene(t, nil)
	other := testvault.New("testkey")
	defer other.Close()
	f, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: azurePlace(v)})
	require.NoError(t, err)
	c := *f.cur
	c.wrapped.By = strings.Replace(c.wrapped.By, v.URL, other.URL, 1)
	write(t, m, testPath, appendCRC(append(c.marshal(), make([]byte, macSize)...)))
	g, err := Open(testPath, o)
	require.NoError(t, err)
	_, err = g.Key(t.Context())
	require.ErrorIs(t, err, ErrDamaged)
	require.Empty(t, other.Calls())
}

// azkeys' own fake, with real RSA inside, as a second opinion on how the client is used.
func TestAzureFake(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	const vault = "https://fake-vault.vault.azure.net"
	result := func(name, version string, value []byte) azkeys.KeyOperationResult {
		if version == "" {
			version = "v7"
		}
		return azkeys.KeyOperationResult{KID: to.Ptr(azkeys.ID(vault + "/keys/" + name + "/" + version)), Result: value}
	}
	srv := fake.Server{
		WrapKey: func(_ context.Context, name, version string, p azkeys.KeyOperationParameters, _ *azkeys.WrapKeyOptions) (resp azfake.Responder[azkeys.WrapKeyResponse], errResp azfake.ErrorResponder) {
			out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, p.Value, nil)
			if err != nil || *p.Algorithm != azkeys.EncryptionAlgorithmRSAOAEP256 {
				errResp.SetResponseError(400, "BadParameter")
				return
			}
			resp.SetResponse(200, azkeys.WrapKeyResponse{KeyOperationResult: result(name, version, out)}, nil)
			return
		},
		UnwrapKey: func(_ context.Context, name, version string, p azkeys.KeyOperationParameters, _ *azkeys.UnwrapKeyOptions) (resp azfake.Responder[azkeys.UnwrapKeyResponse], errResp azfake.ErrorResponder) {
			out, err := rsa.DecryptOAEP(sha256.New(), nil, key, p.Value, nil)
			if err != nil || strings.Trim(name+"/"+version, "/") != "testkey/v7" { // the fake takes the version for a part of the name
				errResp.SetResponseError(400, "BadParameter")
				return
			}
			resp.SetResponse(200, azkeys.UnwrapKeyResponse{KeyOperationResult: result(name, version, out)}, nil)
			return
		},
	}
	o := quick(fsx.NewMem(1), nil)
	o.Providers = []Provider{azureProvider{transport: fake.NewServerTransport(&srv), credential: &azfake.TokenCredential{}}}
	f, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: Place{Provider: "azure", ServerKey: vault + "/keys/testkey"}, Bits: 128})
	require.NoError(t, err)
	require.Equal(t, vault+"/keys/testkey/v7", f.Info().WrappedBy)
	k, err := f.Key(t.Context())
	require.NoError(t, err)
	k.Destroy()
	c := *f.cur
	c.wrapped.Blob = slices.Clone(c.wrapped.Blob)
	c.wrapped.Blob[3] ^= 1
	write(t, o.FS, testPath, appendCRC(append(c.marshal(), make([]byte, macSize)...)))
	g, err := Open(testPath, o)
	require.NoError(t, err)
	_, err = g.Key(t.Context())
	require.ErrorIs(t, err, ErrWrongKey)
}
