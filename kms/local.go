package kms

import (
	"context"
	"errors"
	"net/url"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/secmem"
)

// localProvider stands in for a service in tests and trials: its "service" is a
// file with keys of 32 bytes. Nothing protects that file. The last key wraps,
// each of them unwraps: adding one is rotating the provider's key.
type localProvider struct{}

var _ Provider = localProvider{}

// LocalWarning says what the provider "local" is. Programs show it.
const LocalWarning = "the provider local is for tests only: its key lies unprotected in a file"

const (
	localKeySize   = 32
	maxLocalKeys   = 16
	localAlgorithm = "AES-KW"
	localInfo      = "coffer/1 kms local"
)

func (localProvider) Name() string { return "local" }

func (localProvider) Check(p Place) (Place, error) {
	switch {
	case p.ServerKey == "":
		return p, fault.Hint(usage("the provider local needs the path of a file with 32 random bytes"),
			"Make one: head -c 32 /dev/urandom > FILE. It is for tests only.")
	case p.Region != "" || p.Endpoint != "":
		return p, usage("the provider local has neither region nor endpoint")
	}
	return p, checkEnv(p.Env, nil, nil)
}

func (localProvider) Connect(_ context.Context, p Place, o *Options) (Wrapper, error) {
	return &localWrapper{o.FS, p.ServerKey}, nil
}

type localWrapper struct {
	fs   fsx.FS
	path string
}

var _ Wrapper = (*localWrapper)(nil)

func (w *localWrapper) Endpoint() *url.URL { return nil }

func (w *localWrapper) Credentials(context.Context) (string, error) {
	return "who may read " + w.path, nil
}

func (w *localWrapper) Wrap(_ context.Context, k *dek.Key) (Wrapped, error) {
	keys, err := w.keys(StepWrap)
	if err != nil {
		return Wrapped{}, err
	}
	defer secmem.Wipe(keys)
	var kek [localKeySize]byte
	defer secmem.Wipe(kek[:])
	if err := localKEK(&kek, keys[len(keys)-localKeySize:], k.ID()); err != nil {
		return Wrapped{}, err
	}
	blob, err := dek.Wrap(kek[:], k.ExposeSecret())
	return Wrapped{Blob: blob, Algorithm: localAlgorithm}, err
}

func (w *localWrapper) Unwrap(_ context.Context, id dek.ID, wrapped Wrapped) ([]byte, error) {
	keys, err := w.keys(StepUnwrap)
	if err != nil {
		return nil, err
	}
	defer secmem.Wipe(keys)
	for at := len(keys) - localKeySize; at >= 0; at -= localKeySize {
		raw, err := localUnwrap(keys[at:at+localKeySize], id, wrapped.Blob)
		if !errors.Is(err, fault.WrongKey) {
			return raw, err
		}
	}
	return nil, fail(&Error{Provider: "local", Step: StepUnwrap, Kind: ErrWrongKey})
}

func localUnwrap(key []byte, id dek.ID, blob []byte) ([]byte, error) {
	var kek [localKeySize]byte
	defer secmem.Wipe(kek[:])
	if err := localKEK(&kek, key, id); err != nil {
		return nil, err
	}
	mem, err := dek.Unwrap(kek[:], blob)
	if errors.Is(err, fault.Usage) {
		return nil, fault.WrongKey // no length of this provider's
	}
	if err != nil {
		return nil, err
	}
	defer mem.Release()
	return append([]byte(nil), mem.Bytes()...), nil
}

// localKEK binds the key that wraps to the ID of the key that is wrapped.
func localKEK(kek *[localKeySize]byte, key []byte, id dek.ID) error {
	return dek.DeriveFrom(key, kek[:], id[:], localInfo)
}

// keys reads the file, 1 to 16 keys. The caller wipes them.
func (w *localWrapper) keys(step Step) ([]byte, error) {
	data, err := readFile(w.fs, w.path, maxLocalKeys*localKeySize)
	if err != nil {
		return nil, fail(&Error{Provider: "local", Step: step, Kind: ErrUnreachable, Message: err.Error(),
			hint: "The provider local needs the file with its key.", final: true})
	}
	if n := len(data); n == 0 || n%localKeySize != 0 {
		secmem.Wipe(data)
		return nil, fail(&Error{Provider: "local", Step: step, Kind: ErrKeyUnusable, Message: w.path + " does not hold keys of 32 bytes"})
	}
	return data, nil
}
