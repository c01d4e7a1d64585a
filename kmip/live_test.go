package kmip

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
)

// TestLive is the life of keys on a real server, in every version that it speaks.
func TestLive(t *testing.T) {
	p := startPyKMIP(t)
	for _, v := range []Version{V10, V11, V12, V13, V14, V20} {
		t.Run(v.String(), func(t *testing.T) {
			s := p.as("anna-" + v.String())
			s.Version = v
			life(t, s)
		})
	}
}

func life(t *testing.T, s Server) {
	ctx := context.Background()
	c, err := Dial(ctx, s, nil)
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, s.Version, c.Version())

	for _, bits := range []int{128, 192, 256} {
		k, err := c.Create(ctx, NewKey{Name: "k" + s.Version.String(), Bits: bits})
		require.NoError(t, err)
		require.Equal(t, Active, k.State)
		require.Equal(t, bits, k.Bits)
		require.Equal(t, []string{"k" + s.Version.String()}, k.Names)
		got, info, err := c.Get(ctx, k.ID)
		require.NoError(t, err)
		require.Equal(t, k.GUID, got.ID())
		require.Equal(t, bits, got.Bits())
		require.Equal(t, dek.Active, info.State.Mode())
	}
}
