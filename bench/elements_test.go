package bench

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// TestElements runs every contest, short: that both sides give figures.
func TestElements(t *testing.T) {
	var said []string
	r, err := Elements(context.Background(), ElementOptions{Scale: 100, Rounds: 2, Progress: func(what string) { said = append(said, what) }})
	require.NoError(t, err)
	var names []string
	for _, e := range r.Results {
		names = append(names, e.Name)
		require.Positive(t, e.Coffer, e.Name)
		require.Positive(t, e.Plain, e.Name)
		require.LessOrEqual(t, e.Low, e.Ratio, e.Name)
		require.LessOrEqual(t, e.Ratio, e.High, e.Name)
		require.Positive(t, e.Target, e.Name)
		require.NotEmpty(t, e.Note, e.Name)
	}
	require.Equal(t, said, names)
	require.Equal(t, []string{"value-encrypt/16", "value-decrypt/16", "value-encrypt/64", "value-decrypt/64", "value-encrypt/256", "value-decrypt/256",
		"value-encrypt/1024", "value-decrypt/1024", "stream-encrypt", "stream-decrypt", "stream-encrypt/two-workers", "stream-decrypt/two-workers"}, names)
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	for _, field := range []string{`"name":`, `"coffer":`, `"plain":`, `"unit":`, `"ratio":`} {
		require.Contains(t, string(raw), field)
	}
}

func TestElementsMisuse(t *testing.T) {
	_, err := Elements(context.Background(), ElementOptions{Only: []string{"speed"}})
	require.ErrorIs(t, err, fault.Usage)
	_, err = Elements(context.Background(), ElementOptions{Scale: -1})
	require.ErrorIs(t, err, fault.Usage)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err = Elements(ctx, ElementOptions{Only: []string{"values"}, Scale: 1000})
	require.ErrorIs(t, err, context.Canceled)
}
