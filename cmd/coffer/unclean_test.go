package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/keyfile"
)

// unclean leaves a copy of a volume as a process that was killed would, with one
// commit that only the journal holds.
func (d *desk) unclean(from, to string) {
	d.t.Helper()
	pw, err := readPasswordFile(d.path("pw"))
	require.NoError(d.t, err)
	f, err := keyfile.Open(d.path("keys"), keyfile.Credentials{Admin: "alice", Password: pw}, nil)
	require.NoError(d.t, err)
	defer f.Close()
	ring := dek.NewKeyring()
	_, err = f.Activate(ring, dek.Database, dek.Active)
	require.NoError(d.t, err)
	s, err := blockstore.Open(d.path(from), ring, nil)
	require.NoError(d.t, err)
	require.NoError(d.t, s.Update(func(tx *blockstore.Tx) error {
		page := make([]byte, s.BlockSize())
		copy(page, "hello")
		return tx.Write(0, page)
	}))
	d.copyVolume(from, to)
	require.NoError(d.t, s.Close())
}

// TestAfterAKill: what only the journal holds counts, through symbolic links too.
func TestAfterAKill(t *testing.T) {
	d := newDesk(t, "256")
	d.ok("create", "v", "--size", "64K")
	d.unclean("v", "a")
	require.NoError(t, os.Mkdir(d.path("elsewhere"), 0o700))
	require.NoError(t, os.Symlink("../a", d.path("elsewhere/link")))
	for _, name := range []string{"a", "elsewhere/link"} {
		require.Contains(t, d.ok("journal", "list", name), d.key)
		require.Regexp(t, `closed cleanly +no`, d.ok("info", name))
		require.Equal(t, "hello", d.ok("cat", name, "--length", "5"))
		require.Contains(t, d.ok("verify", name), "1 of 8 blocks checked (with keys), 1 of them taken from the journal, 7 never written or trimmed: all correct")
	}
	d.ok("resize", "elsewhere/link", "--size", "128K")
	require.NoDirExists(t, d.path("a.journal"))
	require.NoDirExists(t, d.path("elsewhere/link.journal"))
	require.Equal(t, "hello", d.ok("cat", "a", "--length", "5"))
}

// TestJournalLost: the hint names only what there is, and what it costs.
func TestJournalLost(t *testing.T) {
	d := newDesk(t, "256")
	d.ok("create", "v", "--size", "64K")
	d.unclean("v", "a")
	require.NoError(t, os.RemoveAll(d.path("a.journal")))
	for _, args := range [][]string{{"cat", "a"}, {"decrypt", "a"}, {"rekey", "a", "--new-key"}, {"anchor", "a"}, {"resize", "a", "--size", "1M"}} {
		_, errs, code := d.run(args...)
		require.Equal(t, exitDamaged, code, "%v: %s", args, errs)
		require.Regexp(t, `(?m)^hint: Put the journal folder .* back\..*put and coffer resize take --discard-journal.*lost`, errs)
		require.NotContains(t, errs, "Options.")
	}
	d.ok("resize", "a", "--size", "64K", "--discard-journal")
	require.Equal(t, "\x00\x00\x00\x00\x00", d.ok("cat", "a", "--length", "5"))
}
