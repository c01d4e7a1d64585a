package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/bench"
	"github.com/cofferdb/coffer/fips"
)

func TestBenchElements(t *testing.T) {
	if fips.LibraryOnly() {
		t.Skip("the kernels are no part of FIPS mode")
	}
	small := bench.ElementOptions{Only: []string{"values"}, Scale: 100, Rounds: 1}
	var out, errs bytes.Buffer
	p := &program{stdout: &out, stderr: &errs}
	require.NoError(t, p.benchElements(context.Background(), small, true))
	var r bench.ElementReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), "JSON alone")
	require.Len(t, r.Results, 8)
	require.Empty(t, errs.String())

	out.Reset()
	require.NoError(t, p.benchElements(context.Background(), small, false))
	require.Regexp(t, `(?m)^value-decrypt/16 +[0-9.]+ +[0-9.]+ +ns `, out.String())
}
