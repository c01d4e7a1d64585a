package guid

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoundTrip(t *testing.T) {
	for range 100 {
		g := New()
		require.Equal(t, byte(4), g[6]>>4, "version")
		require.Equal(t, byte(2), g[8]>>6, "variant")
		s := Format(g)
		require.Equal(t, strings.ToUpper(s), s)
		for _, form := range []string{s, strings.ToLower(s)} {
			back, err := Parse(form)
			require.NoError(t, err)
			require.Equal(t, g, back)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{"", "9158980E", "9158980E-AE52-4E12-82FD-AA5A2909D02", "9158980EAE524E1282FDAA5A2909D0290000",
		"9158980G-AE52-4E12-82FD-AA5A2909D029", "9158980E_AE52-4E12-82FD-AA5A2909D029"} {
		_, err := Parse(s)
		require.ErrorIs(t, err, ErrSyntax, s)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("9158980E-AE52-4E12-82FD-AA5A2909D029")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := Parse(s)
		if err == nil && Format(g) != strings.ToUpper(s) {
			t.Fatalf("%q parses to %s", s, Format(g))
		}
	})
}
