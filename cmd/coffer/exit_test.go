package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/plainfile"
	"github.com/cofferdb/coffer/keyfile"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{syscall.EIO, 1},
		{syscall.ENOSPC, 1},
		{fs.ErrPermission, 1},
		{fs.ErrNotExist, 1},
		{fault.OutcomeUnknown, 1},
		{plainfile.ErrSpace, 1},
		{fault.Usage, 2},
		{fault.NotFormat, 2},
		{dek.ErrKeyringFull, 2},
		{keyfile.ErrFull, 2},
		{errNoTerminal("a", "b"), 2},
		{fault.WrongKey, 3},
		{keyfile.ErrUnknownAdmin, 3},
		{keyfile.ErrUnknownKey, 3},
		{&dek.NotActivatedError{}, 3},
		{fault.Tampered, 4},
		{fault.Damaged, 4},
		{fault.TooOld, 4},
		{fault.InUse, 5},
		{fault.State, 5},
		{fs.ErrExist, 5},
		{keyfile.ErrLastAdmin, 5},
		{&dek.HeldError{}, 5},
		{plainfile.ErrVolume, 5},
		{fault.Unsupported, 6},
		{fault.Version, 6},
		{context.Canceled, 1}, // but no signal came
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("outer: %w", fault.Hint(fmt.Errorf("inner: %w", err), "hint"))
		}
		require.Equal(t, c.want, exitCode(context.Background(), err), "%v", c.err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errInterrupted{syscall.SIGTERM})
	require.Equal(t, 143, exitCode(ctx, ctx.Err()))
	require.Equal(t, 4, exitCode(ctx, fault.Damaged), "something else went wrong")
	ctx, cancel = context.WithCancelCause(context.Background())
	cancel(errInterrupted{os.Interrupt})
	require.Equal(t, 130, exitCode(ctx, fmt.Errorf("outer: %w", ctx.Err())))
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "64K": 64 << 10, "64k": 64 << 10, "10MiB": 10 << 20, "2G": 2 << 30, "1t": 1 << 40, "7B": 7,
	} {
		var s byteSize
		require.NoError(t, s.Set(text), text)
		require.Equal(t, want, int64(s), text)
	}
	for _, text := range []string{"", "-1", "1.5M", "K", "9223372036854775807K", "ten", "1 000"} {
		var s byteSize
		require.ErrorIs(t, s.Set(text), fault.Usage, text)
	}
}

func TestErrorsAreOneLineAndAHint(t *testing.T) {
	var errs bytes.Buffer
	p := &program{stderr: &errs}
	p.explain(context.Background(), errors.Join(fault.Hint(errors.New("one"), "do this"), errors.New("two")), 1)
	require.Equal(t, "coffer: one; two\nhint: do this\n", errs.String())
}

// TestHintsAreTrue: of a limit on a file's size, of an export that made nothing,
// of a salvage without the key.
func TestHintsAreTrue(t *testing.T) {
	var errs bytes.Buffer
	p := &program{stderr: &errs}
	p.explain(context.Background(), fault.Hint(fmt.Errorf("reserve: %w", syscall.EFBIG), "free space on the disk"), 1)
	require.NotContains(t, errs.String(), "free space")
	require.Contains(t, errs.String(), "hint: A file would become larger")

	d := newDesk(t, "256")
	err := aboutExport(context.Background(), fs.ErrPermission, d.path("plain"))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Contains(t, fault.HintOf(err), "Nothing was made")
	require.Empty(t, fault.HintOf(aboutExport(context.Background(), syscall.EIO, d.path("plain"))))
	require.NoError(t, os.WriteFile(d.path("plain.coffer-new"), nil, 0o600))
	require.Contains(t, fault.HintOf(aboutExport(context.Background(), syscall.EIO, d.path("plain"))), "kept, in plain text")

	d.ok("create", "v", "--size", "64K")
	d.ok("keyfile", "create", "other", "--iterations", "65536")
	_, text, code := d.run("salvage", "v", "new", "--keyfile", "other")
	require.Equal(t, exitKey, code, text)
	require.NotContains(t, text, "key server")
	require.Contains(t, text, "None of the sources given holds it")
}

func TestLogger(t *testing.T) {
	var errs bytes.Buffer
	p := &program{stderr: &errs}
	l := p.logger().With("volume", "v")
	l.Debug("unseen")
	l.Info("coffer: a tail", "bytes", 5)
	l.Warn("lost", slog.Any("cause", errors.Join(errors.New("a"), errors.New("b"))))
	require.Equal(t, "note: a tail, volume v, bytes 5\nwarning: lost, volume v, cause a; b\n", errs.String())
}

func TestAFullKeyFile(t *testing.T) {
	d := newDesk(t, "256")
	pw, err := readPasswordFile(d.path("pw"))
	require.NoError(t, err)
	f, err := keyfile.Open(d.path("keys"), keyfile.Credentials{Admin: "alice", Password: pw}, nil)
	require.NoError(t, err)
	for range keyfile.MaxKeys - 1 {
		_, err := f.AddKey(128, "")
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	_, errs, code := d.run("keyfile", "add-key", "keys")
	require.Equal(t, exitUsage, code, errs)
	require.Contains(t, errs, "full")
	d.ok("create", "v", "--size", "64K")
	_, errs, code = d.run("rekey", "v", "--new-key")
	require.Equal(t, exitUsage, code, errs)
	d.ok("verify", "v")
	require.NoError(t, os.Remove(d.path("v")))
}
