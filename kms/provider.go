package kms

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Place says where a key service's key is: what [CreateOptions] and [File.Rewrap]
// are told, and what the file keeps.
type Place struct {
	// Provider is the kind of service: "aws", "azure", "local" or one of
	// [Options].Providers, in any case. The file keeps it in lower case.
	Provider string `json:"provider"`
	// ServerKey names the service's key as its provider does: for AWS an ID,
	// ARN or alias; for Azure a URL; for local a path.
	ServerKey string `json:"server_key"`
	// Region is AWS's. "" means the ARN's, or that of the usual configuration.
	Region string `json:"region,omitempty"`
	// Endpoint replaces the service's usual address; "" keeps it.
	Endpoint string `json:"endpoint,omitempty"`
	// Env stands in for variables of the process's environment (row C2), such as
	// AWS_SHARED_CREDENTIALS_FILE. Each provider takes only some, and no secret.
	Env map[string]string `json:"environment,omitempty"`
}

func (p Place) clone() Place {
	p.Env = maps.Clone(p.Env)
	return p
}

// Wrapped is a key as a service wrapped it.
type Wrapped struct {
	// Blob is the wrapped key, 1 to [MaxWrapped] bytes.
	Blob []byte
	// By names the very key that wrapped it, version and all, where the service
	// says: Unwrap asks for this one. "" leaves it at Place.ServerKey.
	By string
	// Algorithm is the service's name of what it did, "RSA-OAEP-256".
	Algorithm string
}

// Provider is one kind of key service. A new one is a file like local.go, given
// in [Options].Providers or listed in builtin.
type Provider interface {
	// Name is lower-case ASCII: it is in the files.
	Name() string
	// Check returns p in the form that is kept, or refuses it with an error that
	// matches ErrUsage. It touches no network. Create and Rewrap call it, and
	// so does opening, on what the file says.
	Check(p Place) (Place, error)
	// Connect prepares to use the service's key; it need not touch the network.
	Connect(ctx context.Context, p Place, o *Options) (Wrapper, error)
}

// Wrapper uses one key of a service. Each method tries once: repeating, and
// waiting in between, is this package's affair. Errors are of type *[Error].
type Wrapper interface {
	// Credentials gets what the service wants to see, and says whose they are,
	// without secrets.
	Credentials(ctx context.Context) (who string, err error)
	// Wrap wraps the key's bytes, bound to its ID where the service can do that.
	Wrap(ctx context.Context, k *dek.Key) (Wrapped, error)
	// Unwrap gives back the bytes, which the caller wipes.
	Unwrap(ctx context.Context, id dek.ID, w Wrapped) ([]byte, error)
	// Endpoint is where the service is, nil where there is no network.
	Endpoint() *url.URL
}

// builtin are the providers of this package.
func builtin() []Provider { return []Provider{awsProvider{}, azureProvider{}, localProvider{}} }

// Providers returns the names of the providers that this package has.
func Providers() []string {
	var names []string
	for _, p := range builtin() {
		names = append(names, p.Name())
	}
	return names
}

// provider finds one by its name, in any case; the program's own come first.
func (o *Options) provider(name string) (Provider, error) {
	var names []string
	for _, p := range slices.Concat(o.Providers, builtin()) {
		if strings.EqualFold(p.Name(), name) {
			return p, nil
		}
		names = append(names, p.Name())
	}
	return nil, fault.Hint(usage("there is no provider %q", clean(name, maxProvider)), "Providers: "+strings.Join(names, ", ")+".")
}

// check completes a place for its provider.
func (o *Options) check(p Place) (Provider, Place, error) {
	prov, err := o.provider(p.Provider)
	if err != nil {
		return nil, p, err
	}
	p = p.clone()
	p.Provider = prov.Name()
	if p, err = prov.Check(p); err != nil {
		return nil, p, err
	}
	return prov, p, nil
}

// checkEnv refuses names that a provider does not take from a file.
func checkEnv(env map[string]string, known []string, secret []string) error {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case slices.Contains(secret, name):
			return fault.Hint(usage("%s is a secret, and a KMS key file can be read without a key", name),
				"Set it in the process's environment, or name a credentials file.")
		case !slices.Contains(known, name):
			return fault.Hint(usage("%s is not taken from a KMS key file", clean(name, 80)),
				"Known here: "+strings.Join(known, ", ")+". Others are set in the process's environment.")
		}
	}
	return nil
}
