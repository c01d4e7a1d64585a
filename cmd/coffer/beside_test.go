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
