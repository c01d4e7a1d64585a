package formattest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fsx"
)

// What the page says of backups is what Coffer writes, full and incremental, with commits in the middle of them: the reader
// makes of the files what Restore makes of them. The volume that Restore makes is one that the page describes.
func TestReadersAgreeOnBackups(t *testing.T) {
	for i, f := range forms {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			d := start(t, f, uint64(100+i))
			churn(t, d.s, d.rng, 30)
			var files []*backup // the newest first
			for n := range 3 {
				path, o := fmt.Sprintf("b%d", n), blockstore.BackupOptions{}
				if n > 0 {
					o.Base = fmt.Sprintf("b%d", n-1)
				}
				o.Progress = func(uint64, uint64) { churn(t, d.s, d.rng, 3) }
				require.NoError(t, fsx.Create(d.m, path, 0o600, func(file fsx.File) error {
					var out bytes.Buffer
					if _, err := d.s.Backup(context.Background(), &out, o); err != nil {
						return err
					}
					_, err := file.WriteAt(out.Bytes(), 0)
					return err
				}))
				churn(t, d.s, rand.New(rand.NewPCG(uint64(n), 3)), 10)
				raw, err := d.m.ReadFile(path)
				require.NoError(t, err)
				b, err := readBackup(raw)
				require.NoError(t, err)
				files = append([]*backup{b}, files...)
				require.Positive(t, b.end.num("frames"))

				v, err := restore(files, d.h.raw(t))
				require.NoError(t, err)
				ring := d.h.ring(t)
				name := fmt.Sprintf("r%d", n)
				_, err = blockstore.Restore(context.Background(), path, name, ring, &blockstore.RestoreOptions{Options: *options(d.m)})
				require.NoError(t, err)
				s, err := blockstore.Open(name, ring, options(d.m))
				require.NoError(t, err)
				require.EqualValues(t, s.Size(), v.size)
				for b := range v.blocks() {
					sameBlock(t, s, v, b)
				}
				info, err := s.Info()
				require.NoError(t, err)
				require.Len(t, info.Backups, n+1)
				require.NoError(t, s.Close())
				checkRecords(t, d.m, name, info)
			}
			require.NoError(t, d.s.Close())
		})
	}
}

// checkRecords reads the records of backups by the tables of the page.
func checkRecords(t *testing.T, m *fsx.Mem, name string, info *blockstore.Info) {
	t.Helper()
	raw, err := m.ReadFile(name)
	require.NoError(t, err)
	l, err := parseLabel(raw[:8192])
	require.NoError(t, err)
	require.NotZero(t, l.num("restored"))
	at := []int{16384, 81920}[l.num("registry area")]
	b := raw[at:][:l.num("registry length")]
	require.Equal(t, l.hash("registry hash"), sum(b))
	head := doc.in("backup registry", b)
	require.NoError(t, head.check())
	require.EqualValues(t, len(info.Backups), head.num("records"))
	b = b[16:]
	for _, want := range info.Backups {
		r := doc.in("registry record", b)
		require.NoError(t, r.check())
		require.EqualValues(t, want.ID, r.uuid("backup"))
		require.Equal(t, want.Sequence, r.num("sequence"))
		keys, dest := int(r.num("keys")), int(r.num("destination length"))
		require.Len(t, want.Keys, keys)
		require.Equal(t, want.Destination, string(b[56+16*keys:][:dest]))
		b = b[56+16*keys+dest:]
	}
	require.Empty(t, b)
}
