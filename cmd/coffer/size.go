package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteSize is a number of bytes as a flag: 4096, 64K, 10MiB, 2G. Units are
// powers of 1,024.
type byteSize int64

var _ pflag.Value = (*byteSize)(nil)

var sizeUnits = []struct {
	suffix string
	shift  uint
}{
	{"kib", 10}, {"mib", 20}, {"gib", 30}, {"tib", 40},
	{"k", 10}, {"m", 20}, {"g", 30}, {"t", 40}, {"b", 0}, {"", 0},
}

// Set implements [pflag.Value].
func (s *byteSize) Set(text string) error {
	t := strings.ToLower(strings.TrimSpace(text))
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if errors.Is(err, strconv.ErrRange) || err == nil && (n < 0 || n > math.MaxInt64>>u.shift) {
			return usagef("out of range: 0 to %d bytes are possible", int64(math.MaxInt64))
		}
		if err != nil {
			break
		}
		*s = byteSize(n << u.shift)
		return nil
	}
	return usagef("not a number of bytes, like 4096, 64K or 2G")
}

// String implements [pflag.Value].
func (s *byteSize) String() string { return strconv.FormatInt(int64(*s), 10) }

// Type implements [pflag.Value].
func (s *byteSize) Type() string { return "bytes" }

// humanBytes is for people: 8.0 MiB.
func humanBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	v, u := float64(n), -1
	for v >= 1024 {
		v, u = v/1024, u+1
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[u:u+1] + "iB"
}
