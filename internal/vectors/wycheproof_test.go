package vectors

import (
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/stretchr/testify/require"
)

// A testCase is the union of the fields of the files used here.
type testCase struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`
	Result  string `json:"result"` // "valid", "invalid", "acceptable"

	Key, IV, AAD, Msg, CT, Tag hexBytes
	IKM, Salt, Info, OKM       hexBytes
	Size                       int
	Password, DK               hexBytes
	IterationCount, DKLen      int
}

// hexBytes is a byte string in hexadecimal.
type hexBytes []byte

// UnmarshalJSON decodes the string.
func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var err error
	*h, err = hex.DecodeString(s)
	return err
}

type testGroup struct {
	TagSize int        `json:"tagSize"` // bits
	Tests   []testCase `json:"tests"`
}

// counts is how the cases of a file came out.
type counts struct{ Valid, Invalid, LeftOut int }

// A verdict is what a check did with a case.
type verdict int

const (
	leftOut  verdict = iota // outside of what Coffer's primitive takes
	accepted                // and the results were equal
	refused
)

// run hands every case of a file to check, compares verdicts with the declared
// results, and wants these counts.
func run(t *testing.T, file string, want counts, check func(t *testing.T, g *testGroup, c *testCase) verdict) {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, file)
	require.NoError(t, err)
	var doc struct {
		NumberOfTests int
		TestGroups    []testGroup
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	var got counts
	for i := range doc.TestGroups {
		g := &doc.TestGroups[i]
		for j := range g.Tests {
			c := &g.Tests[j]
			switch v := check(t, g, c); v {
			case leftOut:
				got.LeftOut++
			case accepted:
				require.NotEqual(t, "invalid", c.Result, "case %d (%s) was accepted", c.ID, c.Comment)
				got.Valid++
			case refused:
				require.NotEqual(t, "valid", c.Result, "case %d (%s) was refused", c.ID, c.Comment)
				got.Invalid++
			}
		}
	}
	t.Logf("%s: %d cases run (%d accepted, %d refused), %d left out", file, got.Valid+got.Invalid, got.Valid, got.Invalid, got.LeftOut)
	require.Equal(t, doc.NumberOfTests, got.Valid+got.Invalid+got.LeftOut)
	require.NotZero(t, got.Valid+got.Invalid)
	require.Equal(t, want, got)
}

// equal is the verdict on a case whose outcome is a value: a wrong value of a
// valid case fails at once.
func equal(t *testing.T, c *testCase, want, got []byte) verdict {
	t.Helper()
	same := string(want) == string(got)
	if c.Result == "valid" {
		require.True(t, same, "case %d (%s): wrong result", c.ID, c.Comment)
	}
	if same {
		return accepted
	}
	return refused
}
