package aes

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

func TestTierNames(t *testing.T) {
	for _, tier := range []Tier{Portable, AESNI, VAES256, VAES512} {
		got, err := ParseTier(tier.String())
		require.NoError(t, err)
		require.Equal(t, tier, got)
	}
	for _, bad := range []string{"", "AESNI", "tier(0)", "vaes"} {
		_, err := ParseTier(bad)
		require.ErrorIs(t, err, ErrTier)
		require.ErrorIs(t, err, fault.Usage)
	}
	require.Equal(t, "tier(0)", Tier(0).String())
	require.Equal(t, "tier(99)", Tier(99).String())
}

func TestAvailable(t *testing.T) {
	tiers := Available()
	t.Logf("tiers of this machine and build: %v", tiers)
	require.Equal(t, Portable, tiers[0])
	require.True(t, slices.IsSorted(tiers))
}

func TestEnvironment(t *testing.T) {
	all, some := []Tier{Portable, AESNI, VAES256, VAES512}, []Tier{Portable, AESNI}
	for _, c := range []struct {
		value     string
		available []Tier
		want      Tier
		ok        bool
	}{
		{"", all, VAES512, true},
		{"", some, AESNI, true},
		{"portable", all, Portable, true},
		{"", all[:3], VAES256, true},
		{"aesni", all, AESNI, true},
		{"vaes256", all, VAES256, true},
		{"vaes256", some, AESNI, false},
		{"vaes512", all[:3], VAES256, false},
		{"vaes512", all, VAES512, true},
		{"vaes512", some, AESNI, false},
		{"aesni", []Tier{Portable}, Portable, false},
		{"AES-NI", all, VAES512, false},
		{"off", some, AESNI, false},
	} {
		got, err := fromEnvironment(c.value, c.available)
		require.Equal(t, c.want, got, c.value)
		if c.ok {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrTier)
		require.ErrorContains(t, err, EnvTier)
	}
}

func TestForce(t *testing.T) {
	before := Best()
	restore := Force(Portable)
	require.Equal(t, Portable, Best())
	k, err := NewKey(make([]byte, 16))
	require.NoError(t, err)
	defer k.Close()
	restore()
	require.Equal(t, before, Best())
	require.Equal(t, Portable, k.Tier(), "a key keeps its tier")
	require.Panics(t, func() { Force(99) })
}

func TestXTSRefuses(t *testing.T) {
	for _, sizes := range [][2]int{{16, 32}, {24, 24}, {0, 0}, {17, 17}, {64, 64}} {
		_, err := NewXTS(random(1, sizes[0]), random(2, sizes[1]))
		require.ErrorIs(t, err, ErrKey, "%v", sizes)
	}
	_, err := NewXTS(random(1, 32), random(1, 32))
	require.ErrorIs(t, err, ErrEqualKeys)
}
