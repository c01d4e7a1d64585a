//go:build !linux

package bench

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// dropCached takes a file out of the system's page cache.
func dropCached(string) error {
	return fault.Hint(fmt.Errorf("no way to take a file out of the page cache: %w", fault.Unsupported), "leave it out with --only")
}
