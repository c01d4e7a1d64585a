package kms

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// azureProvider wraps with an RSA key of Azure Key Vault or Managed HSM:
// RSA-OAEP-256. That has no room for the key's ID; the file's MAC binds it. The
// version of the vault's key that wrapped is kept, and unwraps.
type azureProvider struct {
	transport  policy.Transporter     // nil: made from the options
	credential azcore.TokenCredential // nil: the usual chain
}

var _ Provider = azureProvider{}

const azureName = "azure"

func (azureProvider) Name() string { return azureName }

func (azureProvider) Check(p Place) (Place, error) {
	if p.Region != "" || p.Endpoint != "" {
		return p, usage("Azure has neither region nor endpoint: the key's URL says where it is")
	}
	if _, err := parseAzureKey(p.ServerKey); err != nil {
		return p, err
	}
	return p, checkEnv(p.Env, azureEnv, azureSecrets)
}

// azureKey is a key of a vault. An empty version is the newest one.
type azureKey struct{ vault, name, version string }

// parseAzureKey reads https://VAULT/keys/NAME[/VERSION].
func parseAzureKey(text string) (azureKey, error) {
	u, err := checkURL("the server key", text)
	if err != nil {
		return azureKey{}, err
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	ok := u.Scheme == "https" && u.RawQuery == "" && (len(parts) == 2 || len(parts) == 3) && parts[0] == "keys" &&
		!slices.ContainsFunc(parts, func(s string) bool { return s == "" || s == "." || s == ".." })
	if !ok {
		return azureKey{}, fault.Hint(usage("an Azure key's URL looks like https://VAULT.vault.azure.net/keys/NAME/VERSION"),
			"The portal shows it as the key identifier.")
	}
	k := azureKey{vault: u.Scheme + "://" + u.Host, name: parts[1]}
	if len(parts) == 3 {
		k.version = parts[2]
	}
	return k, nil
}

func (a azureProvider) Connect(_ context.Context, p Place, o *Options) (Wrapper, error) {
	key, err := parseAzureKey(p.ServerKey)
	if err != nil {
		return nil, err
	}
	if a.transport == nil {
		if a.transport, err = httpClient(o); err != nil {
			return nil, err
		}
	}
	common := azcore.ClientOptions{Transport: a.transport, Retry: policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{Disabled: true}}
	if a.credential == nil {
		if a.credential, err = azureCredential(p, o, common); err != nil {
			return nil, fail(&Error{Provider: azureName, Step: StepCredentials, Kind: ErrCredentials, Message: "they cannot be prepared",
				hint: hintAzureLogin})
		}
	}
	client, err := azkeys.NewClient(key.vault, credentialStep{a.credential}, &azkeys.ClientOptions{ClientOptions: common,
		DisableChallengeResourceVerification: o.Private.SkipResourceCheck})
	if err != nil {
		return nil, usage("the vault's URL is refused")
	}
	return &azureWrapper{client: client, key: key}, nil
}

type azureWrapper struct {
	client *azkeys.Client
	key    azureKey
}

var _ Wrapper = (*azureWrapper)(nil)

func (w *azureWrapper) Endpoint() *url.URL {
	u, err := url.Parse(w.key.vault)
	if err != nil {
		return nil
	}
	return u
}

// Credentials gets none: only the vault's challenge says which token it wants.
// What fails then is told as the credentials' step by credentialStep.
func (w *azureWrapper) Credentials(context.Context) (string, error) {
	return "a token that the vault asks for", nil
}

func (w *azureWrapper) Wrap(ctx context.Context, k *dek.Key) (Wrapped, error) {
	alg := azkeys.EncryptionAlgorithmRSAOAEP256
	out, err := guarded(func() (azkeys.WrapKeyResponse, error) {
		return w.client.WrapKey(ctx, w.key.name, w.key.version, azkeys.KeyOperationParameters{Algorithm: &alg, Value: k.ExposeSecret()}, nil)
	})
	if err != nil {
		return Wrapped{}, scrub(azureFailed(StepWrap, err), k.ExposeSecret())
	}
	by, err := w.pinned(out.KID)
	if err != nil {
		return Wrapped{}, err
	}
	return Wrapped{Blob: slices.Clone(out.Result), By: by, Algorithm: string(alg)}, nil
}

// pinned is the key with the version that wrapped. It must be the key that was asked.
func (w *azureWrapper) pinned(kid *azkeys.ID) (string, error) {
	if kid == nil {
		return "", fail(&Error{Provider: azureName, Step: StepWrap, Kind: ErrAnswer, Message: "the answer does not say which key wrapped"})
	}
	got, err := parseAzureKey(string(*kid))
	if err != nil || !strings.EqualFold(got.vault, w.key.vault) || !strings.EqualFold(got.name, w.key.name) || got.version == "" ||
		w.key.version != "" && got.version != w.key.version {
		return "", fail(&Error{Provider: azureName, Step: StepWrap, Kind: ErrAnswer, Message: "another key wrapped than was asked to"})
	}
	return fmt.Sprintf("%s/keys/%s/%s", w.key.vault, w.key.name, got.version), nil
}

func (w *azureWrapper) Unwrap(ctx context.Context, _ dek.ID, wrapped Wrapped) ([]byte, error) {
	key := w.key
	if wrapped.By != "" {
		by, err := parseAzureKey(wrapped.By)
		if err != nil || by.vault != w.key.vault || by.name != w.key.name { // a token for one vault is not sent to another
			return nil, damaged("the vault's key that wrapped is not a version of the one that the file names")
		}
		key = by
	}
	alg := azkeys.EncryptionAlgorithmRSAOAEP256
	out, err := guarded(func() (azkeys.UnwrapKeyResponse, error) {
		return w.client.UnwrapKey(ctx, key.name, key.version, azkeys.KeyOperationParameters{Algorithm: &alg, Value: wrapped.Blob}, nil)
	})
	if err != nil {
		return nil, azureFailed(StepUnwrap, err)
	}
	return out.Result, nil
}

// guarded calls the SDK, which takes a challenge apart without looking at its
// length: an answer from something that is no vault must not end the program.
func guarded[T any](call func() (T, error)) (out T, err error) {
	defer func() {
		if recover() != nil {
			err = fail(&Error{Provider: azureName, Step: StepCredentials, Kind: ErrAnswer, Status: http.StatusUnauthorized,
				Message: "the challenge cannot be read"})
		}
	}()
	return call()
}
