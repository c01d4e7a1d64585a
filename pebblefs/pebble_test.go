package pebblefs

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func testOptions(fs vfs.FS) *pebble.Options {
	return &pebble.Options{FS: fs, Logger: quiet{}, MemTableSize: 64 << 10, FormatMajorVersion: pebble.FormatNewest}
}

func TestPebble(t *testing.T) {
	for name, inner := range map[string]vfs.FS{"mem": vfs.NewMem(), "disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			dir := "db"
			if name == "disk" {
				dir = t.TempDir()
			}
			ring, _ := testRing(t, 1)
			fs, err := New(inner, ring, nil)
			require.NoError(t, err)
			for round := range 3 {
				db, err := pebble.Open(dir, testOptions(fs))
				require.NoError(t, err)
				for i := range 2000 {
					require.NoError(t, db.Set(fmt.Appendf(nil, "key-%05d", i), fmt.Appendf(nil, "value %d of round %d", i, round), pebble.NoSync))
				}
				for i := range 2000 {
					v, c, err := db.Get(fmt.Appendf(nil, "key-%05d", i))
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("value %d of round %d", i, round), string(v))
					require.NoError(t, c.Close())
				}
				require.NoError(t, db.Close())
			}
			require.NoError(t, fs.Close())
			require.NoError(t, ring.Close())
		})
	}
}
