package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/fault"
)

// What is measured is the same work: every implementation writes the same bytes.
// (For opening, the destination is the plaintext that was sealed.)
func TestEveryImplementationDoesTheSame(t *testing.T) {
	compared := 0
	for _, name := range Operations() {
		for _, bits := range []int{128, 192, 256} {
			if !operations[name].has(bits) {
				continue
			}
			var want []byte
			for _, tier := range append(aes.Available(), 0) {
				a := newArena()
				it := &item{KernelResult: KernelResult{Op: name, Bits: bits, BlockSize: 528, Batch: 5}}
				do := library
				if tier != 0 {
					do = func(a *arena, it *item) (task, error) { return coffer(a, it, tier) }
				}
				made, err := do(a, it)
				require.NoError(t, err)
				made.run()
				var got []byte
				for i := range it.Batch {
					dst, _ := a.block(i, it.BlockSize)
					got = append(got, dst...)
				}
				require.False(t, bytes.Equal(got, make([]byte, len(got))))
				if want == nil {
					want = got
				}
				require.True(t, bytes.Equal(want, got), "%s %d %v", name, bits, tier)
				compared++
				if made.release != nil {
					made.release()
				}
			}
		}
	}
	require.Equal(t, 16*(len(aes.Available())+1), compared)
}

func TestKernels(t *testing.T) {
	var told []string
	r, err := Kernels(context.Background(), KernelOptions{Bits: []int{256}, Sizes: []int{512, 8192}, Batches: []int{1, 4}, NoOpenSSL: true,
		Budget: time.Second, Progress: func(what string) { told = append(told, what) }})
	require.NoError(t, err)
	require.NotEmpty(t, told)
	impls := len(aes.Available()) + 1
	require.Len(t, r.Results, 6*2*2*impls)
	for _, res := range r.Results {
		require.Positive(t, res.GBs, "%+v", res)
		if r.LimitGBs > 0 {
			require.Positive(t, res.Share, "%+v", res)
		}
	}
	require.Len(t, r.Limits, 3*(len(aes.Available())-1))
	for _, l := range r.Limits {
		require.Positive(t, l.GBs)
		if l.Impl == aes.Available()[len(aes.Available())-1].String() && l.Bits == 256 {
			require.Equal(t, l.GBs, r.LimitGBs) //nolint:testifylint // the very same number
		}
	}
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var back map[string]any
	require.NoError(t, json.Unmarshal(text, &back))
	require.Len(t, back, 3)
	require.Contains(t, back, "limit_gb_s")
	require.ElementsMatch(t, keys(back["limits"], r.LimitGBs > 0), []string{"impl", "bits", "gb_s"})
	require.ElementsMatch(t, keys(back["results"], true), []string{"op", "bits", "block_size", "batch", "impl", "gb_s", "share"})
}

// keys returns the names in the first object of a list.
func keys(list any, there bool) (names []string) {
	if !there {
		return []string{"impl", "bits", "gb_s"}
	}
	for name := range list.([]any)[0].(map[string]any) {
		names = append(names, name)
	}
	return names
}

func TestKernelsRefuse(t *testing.T) {
	for _, o := range []KernelOptions{
		{Ops: []string{"ecb"}}, {Bits: []int{64}}, {Sizes: []int{0}}, {Sizes: []int{100}}, {Sizes: []int{maxBlock + 16}},
		{Batches: []int{0}}, {Batches: []int{65}},
	} {
		_, err := Kernels(context.Background(), o)
		require.ErrorIs(t, err, fault.Usage)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Kernels(ctx, KernelOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

// The default matrix is what the documents promise.
func TestDefaultMatrix(t *testing.T) {
	m, err := (&KernelOptions{}).matrix()
	require.NoError(t, err)
	require.Equal(t, []int{512, 8192, 65536}, m.sizes)
	require.Equal(t, []int{1, 64}, m.batches)
	require.Less(t, m.budget, 45*time.Second)
	require.Len(t, m.items([]string{"x"}), 16*3*2)
	full, err := (&KernelOptions{Full: true}).matrix()
	require.NoError(t, err)
	require.Greater(t, len(full.items([]string{"x"})), 500)
	for _, it := range full.items([]string{"x"}) {
		require.LessOrEqual(t, it.bytes, maxTogether)
	}
}

func TestParseSpeed(t *testing.T) {
	got, err := parseSpeed([]byte("+H:8192\n+F:25:AES-256-GCM:3421503488.00\n"))
	require.NoError(t, err)
	require.InDelta(t, 3.4215, got, 0.001)
	for _, bad := range []string{"", "+H:8192\n", "+F:25:AES:x\n", "+F:25:AES-256-GCM\n", "+F:1:AES:0.00\n", "+F:1:AES:-5\n", "+F:1:AES:NaN\n"} {
		_, err := parseSpeed([]byte(bad))
		require.Error(t, err, bad)
	}
}

// A stand-in for openssl: what it prints is read, and one that fails stops nothing.
func TestOpenSSL(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in is a shell script")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in *xts*) exit 1;; esac\necho +F:25:AES:2000000000.00\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "openssl"), []byte(script), 0o700)) //nolint:gosec // it is to be run
	t.Setenv("PATH", dir)
	r, err := Kernels(context.Background(), KernelOptions{Ops: []string{"cbc-decrypt", "xts-encrypt"}, Bits: []int{256}, Sizes: []int{512},
		Batches: []int{1}, Budget: 10 * time.Second})
	require.NoError(t, err)
	last := r.Results[len(r.Results)-1]
	require.Equal(t, ImplOpenSSL, last.Impl)
	require.Equal(t, "cbc-decrypt", last.Op)
	require.InDelta(t, 2.0, last.GBs, 0.001)
	for _, res := range r.Results[:len(r.Results)-1] {
		require.NotEqual(t, ImplOpenSSL, res.Impl)
	}
}
