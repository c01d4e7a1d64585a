package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/nsmithuk/local-kms/src/config"
	"github.com/nsmithuk/local-kms/src/data"
	"github.com/nsmithuk/local-kms/src/handler"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/kms"
)

const region, account = "us-east-2", "111122223333"

// localKMS is local-kms behind a proxy that fails on request.
type localKMS struct {
	*httptest.Server
	admin *awskms.Client // for what an administrator of keys does

	mu     sync.Mutex // guards what follows
	faults []http.HandlerFunc
}

// start serves local-kms's handlers on loopback; its own program listens on every address.
func start(t *testing.T) *localKMS {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "HUSH-secret")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_PROFILE", "")
	config.AWSRegion, config.AWSAccountId = region, account
	db := data.NewDatabase(t.TempDir())
	t.Cleanup(db.Close)
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	k := &localKMS{}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := k.next(); fault != nil {
			fault(w, r)
			return
		}
		serve(w, r, handler.NewRequestHandler(r, logger, db))
	}))
	t.Cleanup(k.Close)
	k.admin = awskms.New(awskms.Options{Region: region, BaseEndpoint: aws.String(k.URL),
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	return k
}

// serve calls the method that the request names, as local-kms's own server does.
func serve(w http.ResponseWriter, r *http.Request, h *handler.RequestHandler) {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	method := reflect.ValueOf(h).MethodByName(name)
	if !method.IsValid() {
		w.WriteHeader(http.StatusNotImplemented)
		return
	}
	res := method.Call(nil)[0].Interface().(handler.Response)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(res.Code)
	fmt.Fprint(w, res.Body)
}

// fail makes the next requests fail, one each.
func (k *localKMS) fail(faults ...http.HandlerFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults = faults
}

func (k *localKMS) next() http.HandlerFunc {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.faults) == 0 {
		return nil
	}
	f := k.faults[0]
	k.faults = k.faults[1:]
	return f
}

func code(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "as the test wants"})
	}
}

// newKey makes a key of the service and returns its ARN.
func (k *localKMS) newKey(t *testing.T, spec types.KeySpec) string {
	t.Helper()
	in := &awskms.CreateKeyInput{KeySpec: spec}
	if spec != types.KeySpecSymmetricDefault {
		in.KeyUsage = types.KeyUsageTypeEncryptDecrypt
	}
	out, err := k.admin.CreateKey(t.Context(), in)
	require.NoError(t, err)
	return *out.KeyMetadata.Arn
}

func (k *localKMS) place(serverKey string) kms.Place {
	return kms.Place{Provider: "AWS", ServerKey: serverKey, Region: region, Endpoint: k.URL}
}

// The life of a key under AWS KMS, with a service that others wrote.
func TestLocalKMS(t *testing.T) {
	k, dir := start(t), t.TempDir()
	arn := k.newKey(t, types.KeySpecSymmetricDefault)
	_, id, _ := strings.Cut(arn, "key/")
	for i, serverKey := range []string{arn, id} {
		f, err := kms.Create(t.Context(), fmt.Sprintf("%s/%d.kms", dir, i), kms.CreateOptions{Place: k.place(serverKey), Bits: 128 + 64*i})
		require.NoError(t, err)
		require.Equal(t, arn, f.Info().WrappedBy)
		key, err := f.Key(t.Context())
		require.NoError(t, err)
		require.Equal(t, 128+64*i, key.Bits())
		key.Destroy()
	}
	f, err := kms.Open(dir+"/0.kms", nil)
	require.NoError(t, err)

	t.Run("a ciphertext moved to another file", func(t *testing.T) {
		in := &awskms.EncryptInput{KeyId: &arn, Plaintext: make([]byte, 16), EncryptionContext: map[string]string{"coffer-key-id": "another"}}
		out, err := k.admin.Encrypt(t.Context(), in)
		require.NoError(t, err)
		_, err = k.admin.Decrypt(t.Context(), &awskms.DecryptInput{CiphertextBlob: out.CiphertextBlob,
			EncryptionContext: map[string]string{"coffer-key-id": f.ID().String()}})
		require.Error(t, err, "the service binds the context")
	})
	t.Run("faults in between", func(t *testing.T) {
		k.fail(code(400, "ThrottlingException"), code(503, "ServiceUnavailable"))
		key, err := f.Key(t.Context())
		require.NoError(t, err)
		key.Destroy()
		k.fail(code(400, "AccessDeniedException"))
		_, err = f.Key(t.Context())
		require.ErrorIs(t, err, kms.ErrDenied)
		k.fail(code(400, "DisabledException"))
		_, err = f.Key(t.Context())
		require.ErrorIs(t, err, kms.ErrKeyUnusable)
	})
	t.Run("an asymmetric key", func(t *testing.T) {
		_, err := kms.Create(t.Context(), dir+"/rsa.kms", kms.CreateOptions{Place: k.place(k.newKey(t, types.KeySpecRsa2048))})
		require.Error(t, err)
		require.NoFileExists(t, dir+"/rsa.kms")
	})
	t.Run("no such key", func(t *testing.T) {
		_, err := kms.Create(t.Context(), dir+"/none.kms", kms.CreateOptions{Place: k.place("604cae51-139d-4eb4-8b37-000000000009")})
		require.ErrorIs(t, err, kms.ErrKeyUnusable)
		require.NoFileExists(t, dir+"/none.kms")
	})
	t.Run("pending deletion", func(t *testing.T) {
		_, err := k.admin.ScheduleKeyDeletion(context.Background(), &awskms.ScheduleKeyDeletionInput{KeyId: &arn})
		require.NoError(t, err)
		_, err = f.Key(t.Context())
		require.ErrorIs(t, err, kms.ErrKeyUnusable)
	})
}
