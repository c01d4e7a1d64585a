package fips

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SECURITY.md tells people what Services tells programs, and every message.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../SECURITY.md")
	require.NoError(t, err)
	for _, s := range Services() {
		verdict := map[bool]string{true: "approved", false: "refused"}[s.Approved]
		require.Contains(t, string(text), fmt.Sprintf("| %s | %s | %s |", s.Name, s.Standard, verdict))
	}
	for state := Off; state <= Unsupported; state++ {
		require.Contains(t, string(text), strings.TrimPrefix(state.String(), subject), "%d", state)
	}
	for version, certificate := range validated {
		require.Contains(t, string(text), version)
		require.Contains(t, string(text), "certificate "+certificate)
	}
}
