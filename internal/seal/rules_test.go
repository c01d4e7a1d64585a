package seal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The raw primitives take nonces as arguments and authenticate nothing by
// themselves: only this package, the vectors and benchmarks of kernels may use them.
func TestNobodyElseUsesRawPrimitives(t *testing.T) {
	root := filepath.Join("..", "..")
	raw := regexp.MustCompile(`\bseal\.(New)?Raw[A-Z]`)
	allowed := []string{"internal/vectors/", "bench/"}
	seen := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's file, gone since
		}
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		seen++
		for _, prefix := range allowed {
			if strings.HasPrefix(filepath.ToSlash(rel), prefix) {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && raw.Match(text) && filepath.ToSlash(rel) != "internal/seal/rules_test.go" {
			t.Errorf("%s uses a raw primitive of internal/seal", rel)
		}
		return err
	}))
	require.NotZero(t, seen)
}
