package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// opensslSlot is how long one run of openssl speed takes: its smallest unit is a second.
const opensslSlot = 1200 * time.Millisecond

// openssl runs openssl speed for each operation, key length and block size,
// where it is installed, in at most two thirds of the budget. It knows no batches.
func (r *kernelRun) openssl(ctx context.Context) error {
	program, err := exec.LookPath("openssl")
	if err != nil || len(r.m.opensslBits) == 0 {
		r.progress("openssl is left out")
		return nil //nolint:nilerr // not installed is no failure
	}
	for _, name := range r.m.ops {
		for _, bits := range r.m.opensslBits {
			for _, size := range r.m.sizes {
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case !operations[name].has(bits):
					continue
				case time.Since(r.begun)+opensslSlot > r.m.budget*2/3:
					r.progress("openssl: no time for %s, %d bits, %d bytes", name, bits, size)
					continue
				}
				r.progress("openssl: %s, %d bits, %d bytes", name, bits, size)
				gbs, err := opensslSpeed(ctx, program, name, bits, size)
				if err != nil {
					r.progress("%v", err) // an old or a cut-down OpenSSL; the others are measured all the same
					continue
				}
				r.extra = append(r.extra, KernelResult{Op: name, Bits: bits, BlockSize: size, Batch: 1, Impl: ImplOpenSSL, GBs: gbs})
			}
		}
	}
	return nil
}

// opensslSpeed returns the throughput in GB/s.
func opensslSpeed(ctx context.Context, program, name string, bits, size int) (float64, error) {
	op := operations[name]
	args := []string{"speed", "-mr", "-seconds", "1", "-bytes", strconv.Itoa(size), "-evp", fmt.Sprintf("aes-%d-%s", bits, op.mode)}
	if op.decrypt {
		args = append(args, "-decrypt")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return 0, fmt.Errorf("bench: openssl speed: %w", err)
	}
	return parseSpeed(out)
}

var errSpeed = errors.New("bench: openssl speed says nothing that can be read")

// parseSpeed reads the line +F:NUMBER:NAME:BYTES_A_SECOND of openssl speed -mr.
func parseSpeed(out []byte) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), "+F:")
		fields := strings.Split(rest, ":")
		if !ok || len(fields) != 3 {
			continue
		}
		bytesPerSecond, err := strconv.ParseFloat(fields[2], 64)
		if err != nil || !(bytesPerSecond > 0) {
			return 0, errSpeed
		}
		return bytesPerSecond / 1e9, nil
	}
	return 0, errSpeed
}
