package aes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMisuse: buffers that could make a kernel touch foreign memory are refused before any is touched.
func TestMisuse(t *testing.T) {
	forModes(t, func(t *testing.T, m mode, _ []byte, _ int, op func([]Job)) {
		memory := make([]byte, 256)
		for name, job := range map[string]Job{
			"short output":    {Dst: make([]byte, 16), Src: make([]byte, 32)},
			"long output":     {Dst: make([]byte, 32), Src: make([]byte, 16)},
			"no output":       {Src: make([]byte, 16)},
			"no input":        {Dst: make([]byte, 16)},
			"output after":    {Dst: memory[16:48], Src: memory[:32]},
			"output before":   {Dst: memory[:32], Src: memory[16:48]},
			"not whole units": {Dst: memory[:17], Src: memory[:17]},
		} {
			if m.name == "ctr" && name == "not whole units" {
				continue
			}
			good := Job{Dst: memory[128:160], Src: memory[128:160]}
			require.Panics(t, func() { op([]Job{good, job}) }, name)
			require.Equal(t, make([]byte, 256), memory, name)
		}
		require.NotPanics(t, func() { op([]Job{{Dst: memory[:64], Src: memory[64:128]}}) })
		require.NotPanics(t, func() { op(nil) })
		require.NotPanics(t, func() { op([]Job{{}, {}}) })
	})
}

// TestCTRTails: CTR takes any length.
func TestCTRTails(t *testing.T) {
	for _, m := range modes {
		if m.name != "ctr" {
			continue
		}
		tiers(t, func(t *testing.T, _ Tier) {
			for _, size := range keySizes {
				raw := random(3, 64)
				op, done := m.make(t, raw, size)
				defer done()
				for n := range 300 {
					check(t, m, raw, size, op, []int{n}, n%2 == 0, 0)
				}
			}
		})
	}
}

// TestCTRCarry: the counter is 128 bits wide, and overflows as a whole.
func TestCTRCarry(t *testing.T) {
	for _, m := range modes {
		if m.name != "ctr" {
			continue
		}
		tiers(t, func(t *testing.T, _ Tier) {
			raw := random(4, 64)
			op, done := m.make(t, raw, 32)
			defer done()
			for back := range 70 {
				for _, high := range []byte{0, 0xff} {
					j := Job{Src: random(5, 1024), Dst: make([]byte, 1024)}
					for i := range 15 {
						j.IV[i] = 0xff
						if i < 8 {
							j.IV[i] = high
						}
					}
					j.IV[15] = byte(-back)
					op([]Job{j})
					require.Equal(t, m.want(raw, 32, &j), j.Dst, "%d before the overflow", back)
				}
			}
		})
	}
}
