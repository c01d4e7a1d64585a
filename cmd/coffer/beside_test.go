package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// plantJob puts back the job's file, as a kill just after the rename leaves it.
func (d *desk) plantJob(name, operation, uuid string) {
	d.t.Helper()
	text := "coffer job 1\n" + operation + "\n" + uuid + "\n"
	require.NoError(d.t, os.WriteFile(d.path(name+".coffer-job"), []byte(text), 0o600))
}

// TestKilledJustAfterTheRename: the same command again says that it is done.
func TestKilledJustAfterTheRename(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 100_000)
	d.ok("encrypt", "a.db")
	uuid := d.info("a.db").UUID.String()

	d.plantJob("a.db", "encrypt", uuid)
	d.refused("encrypt", "a.db", "--cipher", "aes-xts")
	out, errs, code := d.run("encrypt", "a.db")
	require.Zero(t, code, errs)
	require.Contains(t, out, "already encrypted")
	require.Contains(t, errs, "already done")
	require.NoFileExists(t, d.path("a.db.coffer-job"))
	d.refused("encrypt", "a.db")
	d.plantJob("a.db", "encrypt", uuid)
	require.Contains(t, d.ok("encrypt", "a.db", "--json"), `"done": "encrypted"`)

	d.ok("decrypt", "a.db")
	d.plantJob("a.db", "decrypt", uuid)
	out, errs, code = d.run("decrypt", "a.db")
	require.Zero(t, code, errs)
	require.Contains(t, out, "already decrypted, 100000 bytes")
	require.Contains(t, errs, "already done")
	require.NoFileExists(t, d.path("a.db.coffer-job"))
	requireSameFile(t, d.path("a.db"), content)
	_, _, code = d.run("decrypt", "a.db")
	require.Equal(t, exitUsage, code, "the second time it is just no volume")

	// A stale job does not own what somebody put there.
	d.plantJob("a.db", "decrypt", uuid)
	require.NoError(t, os.WriteFile(d.path("a.db.coffer-new"), []byte("mine"), 0o600))
	d.refused("encrypt", "a.db")
	requireSameFile(t, d.path("a.db.coffer-new"), []byte("mine"))
}

// TestUnfinishedDecryptIsNamed: the plain text that an interrupted decrypt left
// is told of, with how to give it up, and that works.
func TestUnfinishedDecryptIsNamed(t *testing.T) {
	d := newDesk(t, "256")
	content := bigFile(d, 100_000)
	d.ok("encrypt", "a.db")
	uuid := d.info("a.db").UUID.String()
	_, errs, _ := d.run("info", "a.db")
	require.Empty(t, errs)
	_, errs, _ = d.run("encrypt", "a.db")
	require.NotContains(t, errs, "coffer-new")

	d.plantJob("a.db", "decrypt", uuid)
	_, errs, code := d.run("encrypt", "a.db")
	require.Equal(t, exitState, code)
	require.NotContains(t, errs, "coffer-new", "there is none")
	require.Contains(t, errs, "remove ")
	require.NoError(t, os.WriteFile(d.path("a.db.coffer-new"), content[:50_000], 0o600))
	_, errs, code = d.run("encrypt", "a.db")
	require.Equal(t, exitState, code)
	require.Regexp(t, `(?m)^hint: .*plain text.*To give it up, remove \S*a\.db\.coffer-new and \S*a\.db\.coffer-job\.$`, errs)
	for _, more := range [][]string{nil, {"--json"}, {"--keys"}} {
		out, errs, code := d.run(append([]string{"info", "a.db"}, more...)...)
		require.Zero(t, code)
		require.Regexp(t, `^warning: .*a\.db\.coffer-new in plain text`, errs)
		require.NotContains(t, out, "coffer-new")
	}
	require.Contains(t, d.ok("decrypt", "--help"), "FILE.coffer-job, and FILE is the volume as before")

	require.NoError(t, os.Remove(d.path("a.db.coffer-new")))
	require.NoError(t, os.Remove(d.path("a.db.coffer-job")))
	require.True(t, d.ok("cat", "a.db") == string(content))
	_, errs, _ = d.run("info", "a.db")
	require.Empty(t, errs)
}
