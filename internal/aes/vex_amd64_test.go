//go:build !purego

package aes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// vexOnly are the vector instructions that kernels of VAES256 may use. All have a VEX form, which Go's assembler
// takes for registers 0 to 15, and none needs more than AVX2, VAES and VPCLMULQDQ.
const vexOnly = "VAESDEC VAESDECLAST VAESENC VAESENCLAST VBROADCASTI128 VEXTRACTI128 VINSERTI128 VMOVDQU VMOVQ VPADDQ " +
	"VPAND VPBLENDD VPCLMULQDQ VPERM2I128 VPINSRD VPINSRQ VPSHUFB VPSHUFD VPSLLDQ VPSLLVQ VPSRAD VPSRLD VPSRLDQ VPSRLQ " +
	"VPSRLVQ VPSUBQ VPUNPCKHDQ VPXOR VZEROALL"

var (
	evexRegister = regexp.MustCompile(`\b(Z\d+|K[0-7]|[XY](1[6-9]|2\d|3[01]))\b`)
	anyVector    = regexp.MustCompile(`\b[XY]\d+\b`)
)

// TestVAES256IsVEX: processors of that tier have no AVX-512, and switching between VEX and legacy instructions while
// upper halves are in use is slow.
func TestVAES256IsVEX(t *testing.T) {
	allowed := map[string]bool{}
	for _, op := range strings.Fields(vexOnly) {
		allowed[op] = true
	}
	files, err := filepath.Glob("*_amd64.s")
	require.NoError(t, err)
	functions, instructions := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		function := ""
		for i, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "TEXT ·"); ok {
				function, _, _ = strings.Cut(name, "(")
				if strings.Contains(function, "VAES256") {
					functions++
				}
				continue
			}
			fields := strings.Fields(line)
			if !strings.Contains(function, "VAES256") || !strings.HasPrefix(line, "\t") || fields[0] == "//" {
				continue
			}
			require.NotRegexp(t, evexRegister, line, "%s:%d: %s", file, i+1, function)
			if strings.HasPrefix(fields[0], "V") || anyVector.MatchString(line) {
				instructions++
				require.True(t, allowed[fields[0]], "%s:%d: %s: %s", file, i+1, function, line)
			}
		}
	}
	t.Logf("%d functions, %d vector instructions", functions, instructions)
	require.GreaterOrEqual(t, functions, 36)
	require.Greater(t, instructions, 10_000)
}
