package kms

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/keyfile"
	"github.com/stretchr/testify/require"
)

func TestCreateOpenKey(t *testing.T) {
	m := localFS(t)
	for _, bits := range []int{128, 192, 256} {
		path := "/k" + string(rune('a'+bits/64))
		f, err := Create(t.Context(), path, CreateOptions{Options: *quick(m, nil), Place: local(), Bits: bits, Description: "x"})
		require.NoError(t, err)
		info, err := Inspect(path, quick(m, nil))
		require.NoError(t, err)
		require.Equal(t, f.Info(), info)
		require.Equal(t, bits, info.Bits)
		require.Equal(t, "local", info.Provider)
		require.Equal(t, localPath, info.ServerKey)
		require.Equal(t, "AES-KW", info.Algorithm)
		require.EqualValues(t, 1, info.Generation)
		again, err := Open(path, quick(m, nil))
		require.NoError(t, err)
		k, err := again.Key(t.Context())
		require.NoError(t, err)
		require.Equal(t, f.ID(), k.ID())
		require.Equal(t, bits, k.Bits())
		require.NotContains(t, string(read(t, m, path)), string(k.ExposeSecret()))
		k.Destroy()
		fi, err := m.Stat(path)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), fi.Mode().Perm())
	}
	_, err := Create(t.Context(), "/kc", CreateOptions{Options: *quick(m, nil), Place: local()})
	require.ErrorIs(t, err, ErrFileExists)
	require.ErrorIs(t, err, fault.State)
}

// A KMS key file is a source of keys, like any other.
func TestSource(t *testing.T) {
	f := newLocal(t, localFS(t))
	r := dek.NewKeyring()
	defer r.Close()
	a, err := r.ActivateFrom(t.Context(), f, dek.Database, dek.Active)
	require.NoError(t, err)
	require.Equal(t, []dek.ID{f.ID()}, a.IDs)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Keys(gone)
	require.ErrorIs(t, err, context.Canceled)
}

func TestRefusals(t *testing.T) {
	m := localFS(t)
	for name, c := range map[string]CreateOptions{
		"no provider":      {},
		"unknown provider": {Place: Place{Provider: "gcp", ServerKey: "x"}},
		"no server key":    {Place: Place{Provider: "local"}},
		"bits":             {Place: local(), Bits: 129},
		"description":      {Place: local(), Description: "a\nb"},
		"environment":      {Place: Place{Provider: "local", ServerKey: localPath, Env: map[string]string{"X": "y"}}},
		"aws secret":       {Place: Place{Provider: "aws", ServerKey: "k", Env: map[string]string{"AWS_SECRET_ACCESS_KEY": "hush"}}},
		"aws unknown":      {Place: Place{Provider: "aws", ServerKey: "k", Env: map[string]string{"AWS_CA_BUNDLE": "f"}}},
		"aws plain http":   {Place: Place{Provider: "aws", ServerKey: "k", Endpoint: "http://kms.example.com"}},
		"aws arn":          {Place: Place{Provider: "aws", ServerKey: "arn:aws:s3:::bucket"}},
		"aws two regions":  {Place: Place{Provider: "aws", ServerKey: "arn:aws:kms:us-east-2:1:key/x", Region: "eu-west-1"}},
		"azure no url":     {Place: Place{Provider: "Azure", ServerKey: "testkey"}},
		"azure http":       {Place: Place{Provider: "Azure", ServerKey: "http://127.0.0.1/keys/k"}},
		"azure secret":     {Place: Place{Provider: "azure", ServerKey: "https://v.vault.azure.net/keys/k", Env: map[string]string{"AZURE_CLIENT_SECRET": "hush"}}},
		"azure authority":  {Place: Place{Provider: "azure", ServerKey: "https://v.vault.azure.net/keys/k", Env: map[string]string{"AZURE_AUTHORITY_HOST": "https://evil"}}},
		"azure region":     {Place: Place{Provider: "azure", ServerKey: "https://v.vault.azure.net/keys/k", Region: "r"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Options = *quick(m, nil)
			_, err := Create(t.Context(), testPath, c)
			require.ErrorIs(t, err, fault.Usage)
			require.NotContains(t, err.Error(), "hush")
			_, err = m.Stat(testPath)
			require.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}

// Every field of the file altered, its checksum put right: no key comes out.
func TestEveryByteAltered(t *testing.T) {
	m := localFS(t)
	f := newLocal(t, m)
	good := read(t, m, testPath)
	counts := map[string]int{}
	for at := range len(good) - crcSize {
		for _, flip := range []byte{0x01, 0x80} {
			bad := bytes.Clone(good[:len(good)-crcSize])
			bad[at] ^= flip
			write(t, m, testPath, appendCRC(bad))
			k, err := keyOf(t.Context(), m)
			require.Error(t, err, "byte %d", at)
			require.Nil(t, k)
			switch {
			case errors.Is(err, fault.Tampered):
				counts["tampered"]++
			case errors.Is(err, fault.WrongKey):
				counts["wrong key"]++
			case errors.Is(err, fault.Damaged), errors.Is(err, fault.Version), errors.Is(err, fault.NotFormat):
				counts["format"]++
			case errors.Is(err, fault.Usage), errors.Is(err, ErrUnreachable), errors.Is(err, ErrKeyUnusable):
				counts["place"]++
			default:
				require.NoError(t, err, "byte %d: no kind of error that is known", at)
			}
		}
	}
	require.Len(t, counts, 4, "%v", counts)
	for at := range len(good) { // without the checksum put right: damage
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		write(t, m, testPath, bad)
		_, err := Open(testPath, quick(m, nil))
		require.Error(t, err, "byte %d", at)
		_, err = decode(good[:at])
		require.Error(t, err, "cut at %d", at)
	}
	_, err := decode(append(bytes.Clone(good), 0))
	require.ErrorIs(t, err, ErrDamaged)
	write(t, m, testPath, good)
	k, err := keyOf(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, f.ID(), k.ID())
	k.Destroy()
}

func keyOf(ctx context.Context, m *fsx.Mem) (*dek.Key, error) {
	f, err := Open(testPath, quick(m, nil))
	if err != nil {
		return nil, err
	}
	return f.Key(ctx)
}

// Fields of two files swapped: what one service key wrapped does not serve
// another file, and a description is not taken over.
func TestSplices(t *testing.T) {
	m := localFS(t)
	one := newLocal(t, m)
	two, err := Create(t.Context(), "/two.kms", CreateOptions{Options: *quick(m, nil), Place: local(), Description: "another"})
	require.NoError(t, err)
	for name, splice := range map[string]func(c *content, from *content){
		"wrapped key":              func(c, from *content) { c.wrapped = from.wrapped },
		"wrapped key and ID":       func(c, from *content) { c.wrapped, c.id = from.wrapped, from.id },
		"ID":                       func(c, from *content) { c.id = from.id },
		"description":              func(c, from *content) { c.description = from.description },
		"generation":               func(c, _ *content) { c.generation++ },
		"dates":                    func(c, _ *content) { c.created-- },
		"wrapped, ID, check value": func(c, from *content) { c.wrapped, c.id, c.check = from.wrapped, from.id, from.check },
	} {
		t.Run(name, func(t *testing.T) {
			c, err := decode(one.data)
			require.NoError(t, err)
			splice(c, two.cur)
			body := c.marshal()
			mac := one.data[len(one.data)-trailerSize : len(one.data)-crcSize]
			write(t, m, testPath, appendCRC(append(body, mac...)))
			_, err = keyOf(t.Context(), m)
			require.True(t, errors.Is(err, fault.Tampered) || errors.Is(err, fault.WrongKey), "%v", err)
		})
	}
	t.Run("another key of the service", func(t *testing.T) {
		write(t, m, testPath, one.data)
		write(t, m, localPath, bytes.Repeat([]byte{8}, localKeySize))
		_, err := keyOf(t.Context(), m)
		require.ErrorIs(t, err, ErrWrongKey)
		require.NotErrorIs(t, err, ErrTampered)
	})
}

func TestRewrap(t *testing.T) {
	m := localFS(t)
	f := newLocal(t, m)
	before := f.Info()
	old := read(t, m, testPath)
	k, err := f.Key(t.Context())
	require.NoError(t, err)
	defer k.Destroy()

	// The provider's key is rotated: the old one still unwraps, the new one wraps.
	write(t, m, localPath, append(bytes.Repeat([]byte{7}, localKeySize), bytes.Repeat([]byte{9}, localKeySize)...))
	require.NoError(t, f.Rewrap(t.Context(), Place{}))
	write(t, m, localPath, bytes.Repeat([]byte{9}, localKeySize)) // the old one is gone
	again, err := keyOf(t.Context(), m)
	require.NoError(t, err)
	require.True(t, k.Equal(again))
	after := f.Info()
	require.EqualValues(t, 2, after.Generation)
	require.Equal(t, before.KeyID, after.KeyID)
	require.Equal(t, before.Description, after.Description)
	write(t, m, "/old.kms", old)
	g, err := Open("/old.kms", quick(m, nil))
	require.NoError(t, err)
	_, err = g.Key(t.Context())
	require.ErrorIs(t, err, ErrWrongKey)

	// Another place.
	write(t, m, "/other.key", bytes.Repeat([]byte{3}, localKeySize))
	require.NoError(t, f.Rewrap(t.Context(), Place{ServerKey: "/other.key"}))
	require.NoError(t, m.Remove(localPath))
	again, err = keyOf(t.Context(), m)
	require.NoError(t, err)
	require.True(t, k.Equal(again))

	t.Run("changed meanwhile", func(t *testing.T) {
		stale, err := Open(testPath, quick(m, nil))
		require.NoError(t, err)
		require.NoError(t, f.Rewrap(t.Context(), Place{}))
		now := read(t, m, testPath)
		require.ErrorIs(t, stale.Rewrap(t.Context(), Place{}), ErrState)
		require.Equal(t, now, read(t, m, testPath))
	})
	t.Run("the new place does not work", func(t *testing.T) {
		now := read(t, m, testPath)
		require.ErrorIs(t, f.Rewrap(t.Context(), Place{ServerKey: "/nothing"}), ErrUnreachable)
		require.ErrorIs(t, f.Rewrap(t.Context(), Place{Provider: "gcp"}), ErrUsage)
		require.ErrorIs(t, f.Rewrap(t.Context(), Place{Provider: "aws"}), ErrUsage)
		require.Equal(t, now, read(t, m, testPath))
	})
}

func TestBackup(t *testing.T) {
	m := localFS(t)
	admin := keyfile.Credentials{Admin: "anna", Password: []byte("Correct-Horse-7-Battery")}
	b := &Backup{Path: "/backup.cof", Admin: admin, Options: keyfile.Options{Iterations: keyfile.MinIterations}}
	f, err := Create(t.Context(), testPath, CreateOptions{Options: *quick(m, nil), Place: local(), Backup: b, Description: "d"})
	require.NoError(t, err)
	holds := func() []keyfile.KeyInfo {
		g, err := keyfile.Open(b.Path, admin, &keyfile.Options{FS: m})
		require.NoError(t, err)
		defer g.Close()
		k, err := g.Key(f.ID())
		require.NoError(t, err)
		defer k.Destroy()
		own, err := f.Key(t.Context())
		require.NoError(t, err)
		defer own.Destroy()
		require.True(t, own.Equal(k))
		return g.Keys()
	}
	require.Len(t, holds(), 1)
	second, err := Create(t.Context(), "/second.kms", CreateOptions{Options: *quick(m, nil), Place: local(), Backup: b})
	require.NoError(t, err, "a key file that exists gets the key too")
	require.Len(t, holds(), 2)
	k, err := second.Key(t.Context())
	require.NoError(t, err)
	defer k.Destroy()
	opts := b.Options
	opts.FS = m
	require.NoError(t, (&Backup{Path: b.Path, Admin: admin, Options: opts}).Keep(k, ""), "it is there already")
	require.Len(t, holds(), 2)

	t.Run("no backup, no file", func(t *testing.T) {
		bad := &Backup{Path: b.Path, Admin: keyfile.Credentials{Admin: "anna", Password: []byte("wrong")}}
		_, err := Create(t.Context(), "/third.kms", CreateOptions{Options: *quick(m, nil), Place: local(), Backup: bad})
		require.ErrorIs(t, err, keyfile.ErrWrongKey)
		_, err = m.Stat("/third.kms")
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
	t.Run("no file, no backup", func(t *testing.T) {
		fresh := *b
		fresh.Path = "/fresh.cof"
		m.Inject(fsx.Fault{Kind: fsx.OpRename, Name: "*third.kms*", Nth: 1, Err: syscall.EIO})
		for _, b := range []*Backup{&fresh, b} {
			_, err := Create(t.Context(), "/third.kms", CreateOptions{Options: *quick(m, nil), Place: local(), Backup: b})
			require.ErrorIs(t, err, syscall.EIO)
		}
		_, err := m.Stat("/fresh.cof")
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.Len(t, holds(), 2)
	})
}

// At every cut in creating and in rewrapping there is the old file or the new one.
func TestCrash(t *testing.T) {
	base := localFS(t)
	for k := 0; ; k++ {
		m := base.Clone()
		m.CutAfter(k)
		f, err := Create(t.Context(), testPath, CreateOptions{Options: *quick(m, nil), Place: local()})
		done := err == nil
		for i := range 8 {
			img := m.Crash(rand.New(rand.NewPCG(5, uint64(k)<<8|uint64(i))))
			got, err := keyOf(t.Context(), img)
			if !done && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			require.NoError(t, err)
			got.Destroy()
		}
		if done {
			crashRewrap(t, m, f)
			return
		}
		require.ErrorIs(t, err, fsx.ErrPowerCut)
		require.Less(t, k, 200)
	}
}

func crashRewrap(t *testing.T, m *fsx.Mem, made *File) {
	m.CutAfter(-1)
	base := m.Clone()
	seen := map[uint64]int{}
	for k := 0; ; k++ {
		m := base.Clone()
		m.CutAfter(k)
		f, err := Open(testPath, quick(m, nil))
		if err == nil {
			err = f.Rewrap(t.Context(), Place{})
		}
		for i := range 8 {
			img := m.Crash(rand.New(rand.NewPCG(6, uint64(k)<<8|uint64(i))))
			got, keyErr := keyOf(t.Context(), img)
			require.NoError(t, keyErr)
			require.Equal(t, made.ID(), got.ID())
			got.Destroy()
			info, infoErr := Inspect(testPath, quick(img, nil))
			require.NoError(t, infoErr)
			require.False(t, err == nil && info.Generation == 1, "acknowledged and lost")
			seen[info.Generation]++
		}
		if err == nil {
			require.Len(t, seen, 2, "%v", seen)
			return
		}
		require.Less(t, k, 200)
	}
}
