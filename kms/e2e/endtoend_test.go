package e2e

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/kms"
	"github.com/cofferdb/coffer/kms/internal/testvault"
)

// service is a provider with one key.
type service struct {
	place   kms.Place
	options kms.Options
	rotate  func() kms.Place // makes the service's key another one, and says what rewrap is told
	retire  func()           // what the key was before does not work any more
	gone    func()           // the service is no more
}

func services(t *testing.T) map[string]func() *service {
	return map[string]func() *service{
		"aws":   func() *service { return awsService(t) },
		"azure": func() *service { return azureService(t) },
		"local": func() *service { return localService(t) },
	}
}

// awsService is local-kms with an alias, which rotation turns to another key.
func awsService(t *testing.T) *service {
	k := start(t)
	old := k.newKey(t, types.KeySpecSymmetricDefault)
	_, err := k.admin.CreateAlias(t.Context(), &awskms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &old})
	require.NoError(t, err)
	return &service{place: k.place("alias/app"), gone: k.Close,
		rotate: func() kms.Place {
			next := k.newKey(t, types.KeySpecSymmetricDefault)
			_, err := k.admin.UpdateAlias(t.Context(), &awskms.UpdateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &next})
			require.NoError(t, err)
			return kms.Place{}
		},
		retire: func() {
			_, err := k.admin.ScheduleKeyDeletion(t.Context(), &awskms.ScheduleKeyDeletionInput{KeyId: &old})
			require.NoError(t, err)
		}}
}

func azureService(t *testing.T) *service {
	v := testvault.New("app")
	t.Cleanup(v.Close)
	ca := t.TempDir() + "/ca.pem"
	require.NoError(t, os.WriteFile(ca, v.CA(), 0o600))
	t.Setenv("AZURE_CLIENT_SECRET", testvault.Secret)
	return &service{gone: v.Close,
		place: kms.Place{Provider: "Azure", ServerKey: v.URL + "/keys/app",
			Env: map[string]string{"AZURE_TENANT_ID": testvault.Tenant, "AZURE_CLIENT_ID": testvault.Client}},
		options: kms.Options{Private: kms.PrivateCloud{Authority: v.URL, CAFile: ca, SkipResourceCheck: true, SkipDiscovery: true}},
		rotate:  func() kms.Place { v.Rotate("app"); return kms.Place{} },
		retire:  func() { v.Delete("app") }}
}

func localService(t *testing.T) *service {
	path := t.TempDir() + "/server.key"
	put := func(b ...byte) {
		var keys []byte
		for _, c := range b {
			keys = append(keys, bytes.Repeat([]byte{c}, 32)...)
		}
		require.NoError(t, os.WriteFile(path, keys, 0o600))
	}
	put(1)
	return &service{place: kms.Place{Provider: "local", ServerKey: path}, gone: func() { os.Remove(path) },
		rotate: func() kms.Place { put(1, 2); return kms.Place{} },
		retire: func() { put(2) }}
}

// Create key → create volume → write → restart → open → rotate the provider's key
// → rewrap → open → re-key the volume to a key of another provider while it is
// used → old provider gone → open.
func TestEndToEnd(t *testing.T) {
	for _, way := range [][2]string{{"aws", "azure"}, {"azure", "aws"}, {"local", "aws"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			all := services(t)
			endToEnd(t, all[way[0]](), all[way[1]]())
		})
	}
}

func endToEnd(t *testing.T, a, b *service) {
	dir := t.TempDir()
	volume, first, second := dir+"/v", dir+"/a.kms", dir+"/b.kms"
	one, err := kms.Create(t.Context(), first, kms.CreateOptions{Options: a.options, Place: a.place})
	require.NoError(t, err)

	makeVolume(t, volume, kmsKey(first, a))
	readAll(t, volume, 0, kmsKey(first, a))

	to := a.rotate()
	f, err := kms.Open(first, &a.options)
	require.NoError(t, err)
	require.NoError(t, f.Rewrap(t.Context(), to))
	a.retire()
	readAll(t, volume, 0, kmsKey(first, a))

	two, err := kms.Create(t.Context(), second, kms.CreateOptions{Options: b.options, Place: b.place})
	require.NoError(t, err)
	require.NotEqual(t, one.ID(), two.ID())
	written := rekeyInUse(t, volume, two.ID(), kmsKey(first, a), kmsKey(second, b))

	a.gone()
	quick := a.options
	quick.Attempts = 1
	f, err = kms.Open(first, &quick)
	require.NoError(t, err)
	_, err = f.Key(t.Context())
	require.True(t, kms.Away(err), "%v", err)
	readAll(t, volume, written, kmsKey(second, b))
	info, err := blockstore.Inspect(volume, nil)
	require.NoError(t, err)
	require.Len(t, info.Keys, 1)
	require.Equal(t, two.ID(), info.WriteKey)
	for _, path := range []string{volume, first, second} {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "page number")
		require.False(t, strings.Contains(string(raw), "HUSH"))
	}
}

// source is where keys come from.
type source func(t *testing.T) dek.Source

// kmsKey is a KMS key file and the service it belongs to.
func kmsKey(path string, from *service) source {
	return func(t *testing.T) dek.Source {
		f, err := kms.Open(path, &from.options)
		require.NoError(t, err)
		return f
	}
}

// activated is a new keyring with the keys of these sources.
func activated(t *testing.T, list ...source) *dek.Keyring {
	t.Helper()
	ring := dek.NewKeyring()
	for _, s := range list {
		_, err := ring.ActivateFrom(t.Context(), s(t), dek.Database, dek.Active)
		require.NoError(t, err)
	}
	return ring
}

// makeVolume makes a volume under the first key and fills it.
func makeVolume(t *testing.T, volume string, from source) {
	t.Helper()
	ring := activated(t, from)
	s, err := blockstore.Create(volume, ring, blockstore.CreateOptions{Size: 4 << 20})
	require.NoError(t, err)
	for n := range uint64(blocks) {
		require.NoError(t, s.UpdateLazy(func(tx *blockstore.Tx) error { return tx.Write(n, page(n, s.BlockSize())) }))
	}
	require.NoError(t, s.Close())
	require.NoError(t, ring.Close())
}

// blocks is how many blocks makeVolume writes.
const blocks = 200

func page(n uint64, size int) []byte {
	return bytes.Repeat([]byte("page number "+string(rune('A'+n%26))+" "), size/14+1)[:size]
}

// readAll opens the volume in a new keyring and compares every block, those from
// written on with what rekeyInUse wrote.
func readAll(t *testing.T, volume string, written uint64, list ...source) {
	t.Helper()
	ring := activated(t, list...)
	defer ring.Close()
	s, err := blockstore.Open(volume, ring, &blockstore.Options{ReadOnly: true})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.View(func(tx *blockstore.Tx) error {
		for n := range uint64(blocks) {
			want := page(n, s.BlockSize())
			if n < written {
				want = page(n+1, s.BlockSize())
			}
			got, err := tx.Read(n)
			if err != nil {
				return err
			}
			require.True(t, bytes.Equal(want, got), "block %d", n)
		}
		return nil
	}))
	r, err := s.Verify(t.Context(), blockstore.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
}

// rekeyInUse re-keys the volume while blocks are written, and returns how many.
func rekeyInUse(t *testing.T, volume string, to dek.ID, list ...source) (written uint64) {
	t.Helper()
	ring := activated(t, list...)
	defer ring.Close()
	s, err := blockstore.Open(volume, ring, nil)
	require.NoError(t, err)
	c, err := s.Convert(t.Context(), blockstore.Conversion{Key: to})
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = c.Wait()
	}()
	for running, n := true, uint64(0); running || written < 20; n = (n + 1) % blocks { // round and round while it runs
		require.NoError(t, s.Update(func(tx *blockstore.Tx) error { return tx.Write(n, page(n+1, s.BlockSize())) }))
		written = max(written, n+1)
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
		}
	}
	require.NoError(t, err)
	require.NoError(t, s.SetJournalKey(t.Context(), to))
	require.NoError(t, s.Close())
	return written
}
