package bench_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cofferdb/coffer/bench"
)

// One operation, quickly: a figure of use takes the default budget and a quiet machine.
func ExampleKernels() {
	r, err := bench.Kernels(context.Background(), bench.KernelOptions{
		Ops: []string{"gcm-seal"}, Bits: []int{256}, Sizes: []int{8192}, Batches: []int{64}, NoOpenSSL: true, Budget: 100 * time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, res := range r.Results {
		fmt.Println(res.Op, res.Bits, res.GBs > 0)
		break
	}
	// Output: gcm-seal 256 true
}
