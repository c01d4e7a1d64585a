package kms

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/stretchr/testify/require"
)

const testARN = "arn:aws:kms:us-east-2:111122223333:key/604cae51-139d-4eb4-8b37-000000000001"

// fakeAWS answers Encrypt and Decrypt of AWS KMS as far as this package sees it:
// the real thing is in the nested module. faults are answered first, one a request.
type fakeAWS struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	faults []http.HandlerFunc
	always http.HandlerFunc // instead of everything
	calls  []string         // X-Amz-Target
	sent   []string         // bodies, to look for what should not be there
}

func newFakeAWS(t *testing.T) *fakeAWS {
	f := &fakeAWS{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.calls = append(f.calls, r.Header.Get("X-Amz-Target"))
	f.sent = append(f.sent, string(body))
	do := f.always
	if do == nil && len(f.faults) > 0 {
		do, f.faults = f.faults[0], f.faults[1:]
	}
	f.mu.Unlock()
	if do != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		do(w, r)
		return
	}
	f.serve(w, r.Header.Get("X-Amz-Target"), body)
}

// serve "encrypts" by putting the context in front.
func (f *fakeAWS) serve(w http.ResponseWriter, target string, body []byte) {
	var in struct {
		KeyID             string `json:"KeyId"`
		Plaintext         []byte
		CiphertextBlob    []byte
		EncryptionContext map[string]string
	}
	_ = json.Unmarshal(body, &in)
	head := fmt.Sprintf("%s|%v|", testARN, in.EncryptionContext)
	switch {
	case strings.HasSuffix(target, "Encrypt"):
		answer(w, map[string]any{"KeyId": testARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
			"CiphertextBlob": append([]byte(head), mask(in.Plaintext)...)})
	case !bytes.HasPrefix(in.CiphertextBlob, []byte(head)):
		awsError(400, "InvalidCiphertextException", "")(w, nil)
	default:
		answer(w, map[string]any{"KeyId": testARN, "Plaintext": mask(in.CiphertextBlob[len(head):])})
	}
}

func mask(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(v)
}

func awsError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
	}
}

const secretKey = "TOPSECRETwJalrXUtnFEMIK7MDENGbPxRfiCY"

// awsOptions are quick options with credentials of the test's own.
func awsOptions(m *fsx.Mem, log *bytes.Buffer) *Options {
	o := quick(m, log)
	o.awsCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: secretKey, SessionToken: "SESSION-" + secretKey, Source: "test"}, nil
	})
	return o
}

func (f *fakeAWS) place() Place { return Place{Provider: "AWS", ServerKey: testARN, Endpoint: f.URL} }

func (f *fakeAWS) fail(faults ...http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = faults
	f.calls = nil
}

func (f *fakeAWS) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func TestAWS(t *testing.T) {
	m, f := fsx.NewMem(1), newFakeAWS(t)
	file, err := Create(t.Context(), testPath, CreateOptions{Options: *awsOptions(m, nil), Place: f.place()})
	require.NoError(t, err)
	require.Equal(t, []string{"TrentService.Encrypt", "TrentService.Decrypt"}, f.calls)
	info := file.Info()
	require.Equal(t, "us-east-2", info.Region, "from the ARN")
	require.Equal(t, testARN, info.WrappedBy)
	require.Equal(t, "SYMMETRIC_DEFAULT", info.Algorithm)
	require.Contains(t, f.sent[0], info.KeyID.String(), "the encryption context names the key")
	g, err := Open(testPath, awsOptions(m, nil))
	require.NoError(t, err)
	k, err := g.Key(t.Context())
	require.NoError(t, err)
	k.Destroy()

	t.Run("a ciphertext of another key's file", func(t *testing.T) {
		two, err := Create(t.Context(), "/two", CreateOptions{Options: *awsOptions(m, nil), Place: f.place()})
		require.NoError(t, err)
		c := *file.cur
		c.wrapped = two.cur.wrapped
		write(t, m, "/spliced", appendCRC(append(c.marshal(), make([]byte, macSize)...)))
		g, err := Open("/spliced", awsOptions(m, nil))
		require.NoError(t, err)
		_, err = g.Key(t.Context())
		require.ErrorIs(t, err, ErrWrongKey)
	})
}

// Each fault of the service is told apart, says what to do, writes nothing, and is
// tried again only where that can help.
func TestAWSFaults(t *testing.T) {
	page := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	cut := func(w http.ResponseWriter, _ *http.Request) {
		c, _, _ := w.(http.Hijacker).Hijack()
		_ = c.Close()
	}
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  error
		also  error
		tries int
		hint  string
	}{
		"access denied":      {awsError(400, "AccessDeniedException", "User: arn:aws:iam::1:user/x is not authorized"), ErrDenied, nil, 1, "kms:Decrypt"},
		"disabled":           {awsError(400, "DisabledException", "is disabled."), ErrKeyUnusable, fault.NotActivated, 1, "enable-key"},
		"pending deletion":   {awsError(400, "KMSInvalidStateException", "is pending deletion."), ErrKeyUnusable, fault.NotActivated, 1, "cancel-key-deletion"},
		"not found":          {awsError(400, "NotFoundException", "Invalid arn eu-west-1"), ErrKeyUnusable, nil, 1, "region"},
		"wrong kind":         {awsError(400, "InvalidKeyUsageException", ""), ErrKeyUnusable, nil, 1, "symmetric"},
		"wrong key":          {awsError(400, "IncorrectKeyException", ""), ErrWrongKey, fault.WrongKey, 1, "backup"},
		"expired":            {awsError(400, "ExpiredTokenException", "The security token included in the request is expired"), ErrCredentials, nil, 1, "expired"},
		"unknown":            {awsError(400, "UnrecognizedClientException", ""), ErrCredentials, nil, 1, "secret"},
		"bad signature":      {awsError(400, "InvalidSignatureException", "The request signature we calculated does not match"), ErrCredentials, nil, 1, "secret"},
		"clock":              {awsError(400, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z"), ErrClock, nil, 2, "clock"},
		"throttled":          {awsError(400, "ThrottlingException", "Rate exceeded"), ErrThrottled, nil, 5, "quota"},
		"429":                {page(429, "slow down"), ErrThrottled, nil, 5, "quota"},
		"internal":           {awsError(500, "KMSInternalException", ""), ErrUnavailable, nil, 5, "later"},
		"503 of a proxy":     {page(503, "<html>"), ErrUnavailable, nil, 5, "later"},
		"cut":                {cut, ErrUnreachable, nil, 5, "coffer kms test"},
		"garbage":            {page(200, "\x00\xff not JSON"), ErrAnswer, nil, 1, "endpoint"},
		"a page":             {page(404, "<html>not found"), ErrAnswer, nil, 1, "endpoint"},
		"an unknown code":    {awsError(400, "Strange\x1b[31mException", "\x1b[2Jboo"), ErrAnswer, nil, 1, "endpoint"},
		"oversized":          {func(w http.ResponseWriter, _ *http.Request) { flood(w) }, ErrAnswer, nil, 1, "endpoint"},
		"an empty answer":    {func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{}) }, nil, nil, 1, ""},
		"repeats the secret": {echo, nil, nil, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, f := fsx.NewMem(1), newFakeAWS(t)
			var log bytes.Buffer
			f.always = c.fault
			_, err := Create(t.Context(), testPath, CreateOptions{Options: *awsOptions(m, &log), Place: f.place()})
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				require.Equal(t, c.tries, f.count())
				require.Contains(t, fault.HintOf(err), c.hint)
				require.Equal(t, Away(err), c.tries == 5)
			}
			if c.also != nil {
				require.ErrorIs(t, err, c.also)
			}
			require.Less(t, len(err.Error()), 1000)
			names, dirErr := m.ReadDir("/")
			require.NoError(t, dirErr)
			require.Empty(t, names, "nothing is written")
			noSecrets(t, f.sent, err.Error()+fault.HintOf(err)+log.String())
		})
	}
}

func flood(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = io.WriteString(w, `{"CiphertextBlob":"`)
	for range 40 {
		if _, err := w.Write(bytes.Repeat([]byte("A"), 64<<10)); err != nil {
			return
		}
	}
}

// echo refuses with a message that holds the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	awsError(400, "ValidationException", "bad value "+string(body))(w, r)
}

// noSecrets looks for credentials, and for every key that was sent, in what people see.
func noSecrets(t *testing.T, sent []string, shown string) {
	t.Helper()
	require.NotContains(t, shown, secretKey)
	require.NotContains(t, shown, "AKIAIOSFODNN7EXAMPLE")
	for _, body := range sent {
		var in struct{ Plaintext []byte }
		if json.Unmarshal([]byte(body), &in) != nil || len(in.Plaintext) == 0 {
			continue
		}
		for _, form := range []string{string(in.Plaintext), hex.EncodeToString(in.Plaintext), base64.StdEncoding.EncodeToString(in.Plaintext)} {
			require.NotContains(t, shown, form[:len(form)/2], "a key is shown")
		}
	}
}

// A fault that passes is got over, and the log says so.
func TestAWSRetries(t *testing.T) {
	m, f := fsx.NewMem(1), newFakeAWS(t)
	var log bytes.Buffer
	f.fail(awsError(400, "ThrottlingException", ""), awsError(500, "KMSInternalException", ""), awsError(503, "", ""))
	o := awsOptions(m, &log)
	var waits []time.Duration
	o.sleep = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
	_, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: f.place()})
	require.NoError(t, err)
	require.Equal(t, 5, f.count(), "three faults, one Encrypt, one Decrypt")
	require.Len(t, waits, 3)
	require.Less(t, waits[0], waits[2], "waits grow")
	require.Equal(t, 3, strings.Count(log.String(), "trying again"))
	noSecrets(t, f.sent, log.String())

	t.Run("as long as the service says", func(t *testing.T) {
		waits = nil
		f.fail(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			awsError(429, "ThrottlingException", "")(w, r)
		})
		file, err := Open(testPath, o)
		require.NoError(t, err)
		k, err := file.Key(t.Context())
		require.NoError(t, err)
		k.Destroy()
		require.Equal(t, []time.Duration{7 * time.Second}, waits)
	})
	t.Run("not beyond the deadline", func(t *testing.T) {
		o := *o
		o.Deadline = time.Second
		f.fail(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "30")
			awsError(429, "ThrottlingException", "")(w, r)
		})
		file, err := Open(testPath, &o)
		require.NoError(t, err)
		_, err = file.Key(t.Context())
		require.ErrorIs(t, err, ErrThrottled)
		require.Equal(t, 1, f.count())
	})
	t.Run("only as long as the caller wants", func(t *testing.T) {
		f.fail()
		ctx, cancel := context.WithCancel(t.Context())
		f.mu.Lock()
		f.always = func(http.ResponseWriter, *http.Request) { cancel(); time.Sleep(100 * time.Millisecond) }
		f.mu.Unlock()
		file, err := Open(testPath, o)
		require.NoError(t, err)
		_, err = file.Key(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// Nobody listens, nobody answers, no name, no credentials, plain text where TLS should be.
func TestAWSUnreachable(t *testing.T) {
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	require.NoError(t, err)
	defer hole.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	strange := httptest.NewTLSServer(http.NotFoundHandler()) // of an authority nobody trusts
	defer strange.Close()
	plain := newFakeAWS(t)
	for name, c := range map[string]struct{ endpoint, says string }{
		"refused":        {"http://" + closed.Addr().String(), "refused"},
		"black hole":     {"http://" + hole.Addr().String(), "no answer in time"},
		"no such name":   {"https://kms.invalid", ""},
		"unknown issuer": {strange.URL, "TLS"},
		"no TLS":         {"https" + strings.TrimPrefix(plain.URL, "http"), "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			m := fsx.NewMem(1)
			o := awsOptions(m, nil)
			o.Timeout, o.Attempts = 300*time.Millisecond, 2
			if c.says == "" {
				o.Timeout = 5 * time.Second
			}
			_, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: Place{Provider: "aws", ServerKey: testARN, Endpoint: c.endpoint}})
			require.ErrorIs(t, err, ErrUnreachable)
			require.Contains(t, err.Error(), c.says)
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		o := awsOptions(fsx.NewMem(1), nil)
		o.awsCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no EC2 IMDS role found, " + secretKey)
		})
		_, err := Create(t.Context(), testPath, CreateOptions{Options: *o, Place: plain.place()})
		require.ErrorIs(t, err, ErrCredentials)
		require.NotContains(t, err.Error(), secretKey)
		require.Zero(t, plain.count())
	})
}

// The file's entries take the place of the environment's, which stays as it is; a
// configuration that would start a program is refused.
func TestAWSEnvironmentEntries(t *testing.T) {
	for _, name := range append(append([]string{}, awsEnv...), awsSecrets...) {
		t.Setenv(name, "")
	}
	f := newFakeAWS(t)
	dir := t.TempDir()
	creds, conf := dir+"/credentials", dir+"/config"
	osfs := fsx.OS()
	write(t, osfs, creds, []byte("[app]\naws_access_key_id = AKIAFROMTHEFILE00000\naws_secret_access_key = "+secretKey+"\n"))
	write(t, osfs, conf, []byte("[profile app]\nregion = eu-west-1\n[profile credential_process]\ncredential_process = touch "+dir+"/pwned\n"+
		"[profile ca_bundle]\nca_bundle = /x\n[profile endpoint_url]\nendpoint_url = https://evil\n[profile services]\nservices = e\n[services e]\nsso =\n  endpoint_url = https://evil\n"))
	place := Place{Provider: "aws", ServerKey: "alias/app", Endpoint: f.URL,
		Env: map[string]string{"AWS_SHARED_CREDENTIALS_FILE": creds, "AWS_CONFIG_FILE": conf, "AWS_PROFILE": "app"}}
	var seen string
	f.faults = []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
		body, _ := io.ReadAll(r.Body)
		f.serve(w, r.Header.Get("X-Amz-Target"), body)
	}}
	o := *quick(osfs, nil)
	file, err := Create(t.Context(), dir+"/k.kms", CreateOptions{Options: o, Place: place})
	require.NoError(t, err)
	require.Contains(t, seen, "AKIAFROMTHEFILE00000")
	require.Contains(t, seen, "eu-west-1")
	require.NotContains(t, string(read(t, osfs, dir+"/k.kms")), secretKey)
	require.Equal(t, place.Env, file.Info().Env)

	for _, setting := range []string{"credential_process", "ca_bundle", "endpoint_url", "services"} {
		place.Env["AWS_PROFILE"] = setting
		_, err = Create(t.Context(), dir+"/evil.kms", CreateOptions{Options: o, Place: place})
		require.ErrorIs(t, err, ErrUsage)
		require.Contains(t, err.Error(), setting)
	}
	_, err = osfs.Stat(dir + "/pwned")
	require.Error(t, err)
}
