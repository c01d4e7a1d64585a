package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/keyfile"
)

// killedRekey does what rekey --new-key does up to where it is killed: after the
// key is in the key file, or after the journal is under it too.
func (d *desk) killedRekey(name string, journal bool) string {
	d.t.Helper()
	pw, err := readPasswordFile(d.path("pw"))
	require.NoError(d.t, err)
	f, err := keyfile.Open(d.path("keys"), keyfile.Credentials{Admin: "alice", Password: pw}, nil)
	require.NoError(d.t, err)
	defer f.Close()
	ring := dek.NewKeyring()
	_, err = f.Activate(ring, dek.Database, dek.Active)
	require.NoError(d.t, err)
	s, err := blockstore.Open(d.path(name), ring, nil)
	require.NoError(d.t, err)
	info, err := s.Info()
	require.NoError(d.t, err)
	p := &program{stderr: new(bytes.Buffer)}
	id, err := p.newKey(&keys{ring: ring, files: []*keyfile.File{f}}, info, rekeyTarget{}, &rekeyFlags{description: "new"})
	require.NoError(d.t, err)
	if journal {
		require.NoError(d.t, s.SetJournalKey(context.Background(), id))
	}
	require.NoError(d.t, s.Close())
	return id.String()
}

// rekeyNew runs rekey --new-key and returns the key.
func (d *desk) rekeyNew(name string) (id, errs string) {
	d.t.Helper()
	out, errs, code := d.run("rekey", name, "--new-key")
	require.Zero(d.t, code, errs)
	require.Equal(d.t, strings.TrimSpace(out), d.info(name).WriteKey.String())
	return strings.TrimSpace(out), errs
}

// TestKilledBeforeTheConversion: a run that was killed after it made the key and
// before the volume recorded it leaves no key that nobody uses.
func TestKilledBeforeTheConversion(t *testing.T) {
	for _, journal := range []bool{false, true} {
		d := newDesk(t, "256")
		d.ok("create", "v", "--size", "1M")
		made := d.killedRekey("v", journal)
		require.Equal(t, 2, countKeys(d))
		require.Contains(t, d.ok("keyfile", "show", "keys"), "new (re-key of volume ")
		if journal {
			d.ok("resize", "v", "--size", "2M") // the volume names it, whatever happens between
		}
		id, errs := d.rekeyNew("v")
		require.Equal(t, made, id)
		require.Contains(t, errs, "an interrupted run made")
		require.Equal(t, 2, countKeys(d))
		require.NotContains(t, d.ok("info", "v"), d.key)
	}
}

// TestNewKeysAreNew: a key that the volume was under is never taken for a new one.
func TestNewKeysAreNew(t *testing.T) {
	d := newDesk(t, "256")
	d.ok("create", "v", "--size", "1M")
	seen := map[string]bool{d.key: true}
	for range 3 {
		id, _ := d.rekeyNew("v")
		require.False(t, seen[id])
		seen[id] = true
		d.ok("rekey", "v", "--to-key", d.key)
	}
	made := d.killedRekey("v", false)
	d.ok("resize", "v", "--size", "2M") // who knows what else was done
	id, errs := d.rekeyNew("v")
	require.NotEqual(t, made, id)
	require.Contains(t, errs, "make a backup copy")
	require.Equal(t, 6, countKeys(d))

	// Another volume, another length.
	d.ok("create", "w", "--size", "1M")
	made = d.killedRekey("w", false)
	out := d.ok("rekey", "w", "--new-key", "--bits", "128")
	require.NotEqual(t, made, strings.TrimSpace(out))
}

// TestResumedWithTheFlagsOfThisRun: --accept-loss counts for a conversion that goes on.
func TestResumedWithTheFlagsOfThisRun(t *testing.T) {
	for _, c := range []struct {
		verb    []string
		prepare func(d *desk)
		target  func(d *desk) func(*dek.Keyring) blockstore.Conversion
		plain   bool
	}{
		{[]string{"encrypt", "a.db"}, func(d *desk) { d.ok("decrypt", "a.db", "--to-volume") },
			func(*desk) func(*dek.Keyring) blockstore.Conversion { return toDefault }, true},
		{[]string{"rekey", "a.db", "--new-key"}, func(*desk) {}, func(d *desk) func(*dek.Keyring) blockstore.Conversion {
			return toKey(t, d.ok("keyfile", "add-key", "keys")[:36])
		}, false},
		{[]string{"decrypt", "a.db", "--to-volume"}, func(*desk) {},
			func(*desk) func(*dek.Keyring) blockstore.Conversion { return toNone }, true},
	} {
		t.Run(c.verb[0], func(t *testing.T) {
			d := newDesk(t, "256")
			bigFile(d, 8<<20)
			d.ok("encrypt", "a.db")
			c.prepare(d)
			target := c.target(d)
			d.damageBlock("a.db", 1000)
			d.halfWay("a.db", c.plain, target)
			_, errs, code := d.run(c.verb...)
			require.Equal(t, exitDamaged, code, errs)
			require.Contains(t, errs, "1 block cannot be read and left as before: 1000")
			require.NotNil(t, d.info("a.db").Conversion)
			_, errs, code = d.run(append(c.verb, "--accept-loss", "--workers", "1")...)
			require.Zero(t, code, errs)
			require.Contains(t, errs, "1 block could not be read and recorded as lost")
			require.Nil(t, d.info("a.db").Conversion)
		})
	}
}
