package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/kmiptest"
	"github.com/cofferdb/coffer/kmip"
	"github.com/cofferdb/coffer/kms"
)

// server is a real KMIP server with what this client needs to ask it.
type server struct {
	*kmiptest.PyKMIP
	conf kmip.Server
}

func startServer(t *testing.T) *server {
	t.Helper()
	p := kmiptest.Start(t)
	cert, key := p.CA.Client("anna")
	return &server{p, kmip.Server{Name: "hsm", Hosts: []string{"127.0.0.1"}, Port: p.Port, CA: p.CA.CA(), Cert: cert, Key: key,
		Timeout: kmip.Duration(time.Minute)}}
}

// do does something on the server.
func (s *server) do(t *testing.T, do func(c *kmip.Client) error) {
	t.Helper()
	c, err := kmip.Dial(t.Context(), s.conf, nil)
	require.NoError(t, err)
	require.NoError(t, do(c))
	require.NoError(t, c.Close())
}

func (s *server) newKey(t *testing.T) (k kmip.KeyInfo) {
	t.Helper()
	s.do(t, func(c *kmip.Client) (err error) { k, err = c.Create(t.Context(), kmip.NewKey{Bits: 256}); return err })
	return k
}

// key is a key of the server as a source.
func (s *server) key(k kmip.KeyInfo) source {
	return func(*testing.T) dek.Source { return &kmip.Source{Server: s.conf, IDs: []string{k.GUID.String()}} }
}

// TestKMIPToAWS: create key → create volume → write → restart, the server's too →
// open → rotate, which with KMIP is a new key and a re-key → open → re-key to a
// key of AWS while the volume is used → the server gone → open.
func TestKMIPToAWS(t *testing.T) {
	srv := startServer(t)
	aws := awsService(t)
	volume, file := t.TempDir()+"/v", t.TempDir()+"/b.kms"
	one := srv.newKey(t)
	makeVolume(t, volume, srv.key(one))
	srv.Restart(t)
	readAll(t, volume, 0, srv.key(one))

	two := srv.newKey(t)
	written := rekeyInUse(t, volume, two.GUID, srv.key(one), srv.key(two))
	srv.do(t, func(c *kmip.Client) error { return c.Revoke(t.Context(), one.ID, kmip.Superseded) })
	srv.do(t, func(c *kmip.Client) error { return c.Destroy(t.Context(), one.ID) })
	readAll(t, volume, written, srv.key(two))

	three, err := kms.Create(t.Context(), file, kms.CreateOptions{Options: aws.options, Place: aws.place})
	require.NoError(t, err)
	written = max(written, rekeyInUse(t, volume, three.ID(), srv.key(two), kmsKey(file, aws)))
	srv.Stop()
	_, err = srv.key(two)(t).Keys(t.Context())
	require.True(t, kmip.Away(err), "%v", err)
	readAll(t, volume, written, kmsKey(file, aws))
	requireOnly(t, volume, three.ID())
}

// TestAWSToKMIP is the way back: rewrap after the service's key was rotated, then
// the key itself moves to the server, under its ID, before the service goes.
func TestAWSToKMIP(t *testing.T) {
	srv := startServer(t)
	aws := awsService(t)
	volume, file := t.TempDir()+"/v", t.TempDir()+"/a.kms"
	f, err := kms.Create(t.Context(), file, kms.CreateOptions{Options: aws.options, Place: aws.place})
	require.NoError(t, err)
	makeVolume(t, volume, kmsKey(file, aws))
	require.NoError(t, f.Rewrap(t.Context(), aws.rotate()))
	aws.retire()
	readAll(t, volume, 0, kmsKey(file, aws))

	k, err := f.Key(t.Context())
	require.NoError(t, err)
	defer k.Destroy()
	var copied kmip.KeyInfo
	srv.do(t, func(c *kmip.Client) (err error) { copied, err = c.Register(t.Context(), k, kmip.NewKey{}); return err })
	require.Equal(t, f.ID(), copied.GUID)
	readAll(t, volume, 0, srv.key(copied))

	next := srv.newKey(t)
	written := rekeyInUse(t, volume, next.GUID, kmsKey(file, aws), srv.key(next))
	aws.gone()
	readAll(t, volume, written, srv.key(next))
	requireOnly(t, volume, next.GUID)
}

// TestKMIPIntoKeyFileOfAWS: a server's key goes under a key of AWS as it is.
func TestKMIPIntoKeyFileOfAWS(t *testing.T) {
	srv := startServer(t)
	aws := awsService(t)
	volume, file := t.TempDir()+"/v", t.TempDir()+"/b.kms"
	one := srv.newKey(t)
	makeVolume(t, volume, srv.key(one))
	keys, err := srv.key(one)(t).Keys(t.Context())
	require.NoError(t, err)
	defer keys[0].Destroy()
	f, err := kms.Create(t.Context(), file, kms.CreateOptions{Options: aws.options, Place: aws.place, Key: keys[0]})
	require.NoError(t, err)
	require.Equal(t, one.GUID, f.ID())
	srv.Stop()
	readAll(t, volume, 0, kmsKey(file, aws))
}

// requireOnly wants no key but this one in the volume.
func requireOnly(t *testing.T, volume string, id dek.ID) {
	t.Helper()
	info, err := blockstore.Inspect(volume, nil)
	require.NoError(t, err)
	require.Len(t, info.Keys, 1)
	require.Equal(t, id, info.WriteKey)
	require.Equal(t, id, info.JournalKey)
}
