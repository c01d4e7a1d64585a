package kms

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/stretchr/testify/require"
)

const (
	testPath  = "/app.kms"
	localPath = "/local.key"
)

// quick are options over fsys that never really wait; log gets what is logged.
func quick(fsys fsx.FS, log *bytes.Buffer) *Options {
	o := &Options{FS: fsys, Timeout: 5 * time.Second, now: func() time.Time { return time.Unix(1_767_225_600, 0) },
		sleep:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		getenv: func(string) string { return "" }}
	if log != nil {
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	return o
}

// write puts a file of its own into fsys, replacing what is there.
func write(t testing.TB, fsys fsx.FS, path string, data []byte) {
	t.Helper()
	require.NoError(t, fsx.Replace(fsys, path, 0o600, writeAll(data)))
}

func read(t testing.TB, fsys fsx.FS, path string) []byte {
	t.Helper()
	data, err := readFile(fsys, path, 1<<20)
	require.NoError(t, err)
	return data
}

// localFS is a file system with a key of the provider local.
func localFS(t testing.TB) *fsx.Mem {
	t.Helper()
	m := fsx.NewMem(1)
	write(t, m, localPath, bytes.Repeat([]byte{7}, localKeySize))
	return m
}

func local() Place { return Place{Provider: "Local", ServerKey: localPath} }

// newLocal makes a KMS key file of the provider local.
func newLocal(t testing.TB, fsys fsx.FS) *File {
	t.Helper()
	f, err := Create(t.Context(), testPath, CreateOptions{Options: *quick(fsys, nil), Place: local(), Description: "the app's"})
	require.NoError(t, err)
	return f
}
