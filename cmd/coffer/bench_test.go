package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/bench"
	"github.com/cofferdb/coffer/fips"
)

// The whole run takes most of a minute: here is a small one.
func TestBenchKernels(t *testing.T) {
	if fips.LibraryOnly() {
		t.Skip("the kernels are no part of FIPS mode")
	}
	small := bench.KernelOptions{Ops: []string{"gcm-seal"}, Bits: []int{256}, Sizes: []int{8192}, Batches: []int{64}, NoOpenSSL: true,
		Budget: 100 * time.Millisecond}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs}
	require.NoError(t, p.benchKernels(context.Background(), small, true))
	var r bench.KernelReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), "JSON alone")
	require.NotEmpty(t, r.Results)
	require.Empty(t, errs.String())

	out.Reset()
	require.NoError(t, p.benchKernels(context.Background(), small, false))
	require.Regexp(t, `(?m)^gcm-seal +256 +8192 +64 +go +[0-9.]+ +[0-9.]+$`, out.String())
}
