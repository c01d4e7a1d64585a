package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// byteRate is a number of bytes per second as a flag: 200MB/s, 64MiB/s, 5000000.
// kB, MB and GB are powers of 1,000; KiB, MiB, GiB and K, M, G of 1,024, as in sizes.
type byteRate int64

var _ pflag.Value = (*byteRate)(nil)

var decimalUnits = []struct {
	suffix string
	factor int64
}{{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}}

// Set implements [pflag.Value].
func (r *byteRate) Set(text string) error {
	t := strings.ToLower(strings.TrimSpace(text))
	t = strings.TrimSuffix(t, "/s")
	var size byteSize
	for _, u := range decimalUnits {
		digits, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if errors.Is(err, strconv.ErrRange) || n > math.MaxInt64/u.factor {
			return usagef("out of range")
		}
		if err == nil {
			size = byteSize(n * u.factor)
		}
		t = strconv.FormatInt(int64(size), 10)
		break
	}
	if err := size.Set(t); err != nil || size <= 0 {
		return usagef("not a number of bytes per second, like 200MB/s or 64MiB/s")
	}
	*r = byteRate(size)
	return nil
}

// String implements [pflag.Value].
func (r *byteRate) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*r), 10)
}

// Type implements [pflag.Value].
func (r *byteRate) Type() string { return "rate" }

// percent is a percentage as a flag: 1 to 100, with or without the sign; 0 where it was not given.
type percent int

var _ pflag.Value = (*percent)(nil)

// Set implements [pflag.Value].
func (v *percent) Set(text string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 1 || n > 100 {
		return usagef("not a percentage: 1 to 100")
	}
	*v = percent(n)
	return nil
}

// String implements [pflag.Value].
func (v *percent) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.Itoa(int(*v))
}

// Type implements [pflag.Value].
func (v *percent) Type() string { return "percentage" }
