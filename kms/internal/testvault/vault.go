package testvault

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// What the authority knows.
const (
	Tenant = "11111111-2222-3333-4444-555555555555"
	Client = "66666666-7777-8888-9999-000000000000"
	Secret = "HUSH-client-secret~Q1w2e3"
	Token  = "HUSH-access-token-eyJ0eXAi"
)

// Vault is a running vault with its authority, at one address.
type Vault struct {
	*httptest.Server
	mu    sync.Mutex // guards what follows
	keys  map[string][]*version
	fault func(http.ResponseWriter, *http.Request) bool
	calls []string // paths
}

type version struct {
	id       string
	key      *rsa.PrivateKey
	disabled bool
}

// New starts a vault with one key of one version.
func New(name string) *Vault {
	v := &Vault{keys: make(map[string][]*version)}
	v.Server = httptest.NewTLSServer(v)
	v.Rotate(name)
	return v
}

// CA is the certificate to trust, in PEM.
func (v *Vault) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v.Certificate().Raw})
}

// Rotate adds a version to a key, which is the newest then, and returns its URL.
func (v *Vault) Rotate(name string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.keys[name])
	id := fmt.Sprintf("%032x", n+1)
	v.keys[name] = append(v.keys[name], &version{id: id, key: keyPair(n)})
	return v.URL + "/keys/" + name + "/" + id
}

// pairs are the RSA keys of versions: vaults share them, since making one takes a while.
var pairs struct {
	sync.Mutex
	list []*rsa.PrivateKey
}

func keyPair(n int) *rsa.PrivateKey {
	pairs.Lock()
	defer pairs.Unlock()
	for len(pairs.list) <= n {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		pairs.list = append(pairs.list, key)
	}
	return pairs.list[n]
}

// Disable disables every version of a key.
func (v *Vault) Disable(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.keys[name] {
		k.disabled = true
	}
}

// Delete takes the oldest version of a key away.
func (v *Vault) Delete(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[name] = v.keys[name][1:]
}

// Fault is asked before each request; it reports whether it answered. nil ends it.
func (v *Vault) Fault(f func(http.ResponseWriter, *http.Request) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault, v.calls = f, nil
}

// Calls are the paths asked for since the last Fault.
func (v *Vault) Calls() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.calls...)
}

// ServeHTTP is vault and authority.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.calls = append(v.calls, r.URL.Path)
	fault := v.fault
	v.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		base := v.URL + "/" + parts[0]
		write(w, 200, map[string]any{"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize",
			"token_endpoint": base + "/oauth2/v2.0/token"})
	case strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token"):
		v.token(w, r)
	case parts[0] != "keys" || len(parts) < 3:
		Fail(w, 404, "NotFound", "", "no such path")
	case r.Header.Get("Authorization") != "Bearer "+Token:
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization=\"%s/%s\", resource=\"https://vault.azure.net\"", v.URL, Tenant))
		Fail(w, 401, "Unauthorized", "", "AKV10000: Request is missing a Bearer or PoP token.")
	default:
		v.operation(w, r, parts[1:])
	}
}

func (v *Vault) token(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("client_id") != Client || r.PostFormValue("client_secret") != Secret {
		write(w, 401, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
		return
	}
	write(w, 200, map[string]any{"access_token": Token, "token_type": "Bearer", "expires_in": 3600})
}

// operation is keys/NAME[/VERSION]/wrapkey or unwrapkey.
func (v *Vault) operation(w http.ResponseWriter, r *http.Request, parts []string) {
	id := ""
	if len(parts) == 3 {
		id = parts[1]
	}
	k := v.find(parts[0], id)
	var in struct{ Alg, Value string }
	err := json.NewDecoder(r.Body).Decode(&in)
	value, decodeErr := base64.RawURLEncoding.DecodeString(in.Value)
	switch {
	case k == nil:
		Fail(w, 404, "KeyNotFound", "", "A key with (name/id) "+parts[0]+" was not found in this key vault.")
		return
	case k.disabled:
		Fail(w, 403, "Forbidden", "KeyDisabled", "Operation is not allowed on a disabled key.")
		return
	case err != nil || decodeErr != nil || in.Alg != "RSA-OAEP-256":
		Fail(w, 400, "BadParameter", "", "Property has invalid value")
		return
	}
	var out []byte
	if parts[len(parts)-1] == "wrapkey" {
		out, err = rsa.EncryptOAEP(sha256.New(), rand.Reader, &k.key.PublicKey, value, nil)
	} else {
		out, err = rsa.DecryptOAEP(sha256.New(), nil, k.key, value, nil)
	}
	if err != nil {
		Fail(w, 400, "BadParameter", "", "The parameter is incorrect.")
		return
	}
	write(w, 200, map[string]any{"kid": v.URL + "/keys/" + parts[0] + "/" + k.id, "value": base64.RawURLEncoding.EncodeToString(out)})
}

// find returns a version of a key, the newest for "".
func (v *Vault) find(name, id string) *version {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := v.keys[name]
	for i := len(list) - 1; i >= 0; i-- {
		if id == "" || list[i].id == id {
			return list[i]
		}
	}
	return nil
}

// Fail answers with an error as a vault does.
func Fail(w http.ResponseWriter, status int, code, inner, message string) {
	e := map[string]any{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	write(w, status, map[string]any{"error": e})
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
