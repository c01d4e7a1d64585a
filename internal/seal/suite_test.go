package seal

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

func TestSuiteNames(t *testing.T) {
	for _, s := range Suites() {
		got, err := ParseSuite(s.String())
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
	for _, bad := range []string{"", "AES-GCM", "aes-ctr", "suite(0)", "aes-gcm "} {
		_, err := ParseSuite(bad)
		require.ErrorIs(t, err, ErrSuite, bad)
		require.ErrorIs(t, err, fault.Usage)
	}
	require.Equal(t, "suite(0)", Suite(0).String())
	require.Equal(t, "suite(9)", Suite(9).String())
}

func TestSuiteValid(t *testing.T) {
	valid := map[Suite][]int{
		SuiteGCM: {128, 192, 256}, SuiteCBC: {128, 192, 256}, SuiteXTS: {128, 256}, SuiteNone: {0}, 0: nil, 5: nil,
	}
	for s, ok := range valid {
		for _, bits := range []int{-8, 0, 8, 64, 128, 192, 256, 512} {
			err := s.Valid(bits)
			if slices.Contains(ok, bits) {
				require.NoError(t, err, "%v %d", s, bits)
			} else {
				require.ErrorIs(t, err, ErrSuite, "%v %d", s, bits)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	id := dek.NewID()
	k128, k192 := testKey(t, id, 1, 128), testKey(t, id, 1, 192)
	good := Scope{Key: id, Domain: DomainVolume}
	plain := Scope{Domain: DomainVolume}
	for name, c := range map[string]struct {
		suite Suite
		key   *dek.Key
		scope Scope
		want  error
	}{
		"suite zero":           {0, k128, good, ErrSuite},
		"xts 192":              {SuiteXTS, k192, good, ErrSuite},
		"gcm without key":      {SuiteGCM, nil, plain, ErrSuite},
		"none with key":        {SuiteNone, k128, good, ErrSuite},
		"domain zero":          {SuiteGCM, k128, Scope{Key: id}, ErrScope},
		"other key's ID":       {SuiteGCM, k128, Scope{Key: dek.NewID(), Domain: 1}, ErrScope},
		"none with key ID":     {SuiteNone, nil, good, ErrScope},
		"none with epoch salt": {SuiteNone, nil, Scope{Domain: 1, Salt: [32]byte{1}}, ErrScope},
		"none in domain zero":  {SuiteNone, nil, Scope{}, ErrScope},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.suite, c.key, c.scope)
			require.ErrorIs(t, err, c.want)
			require.ErrorIs(t, err, fault.Usage)
		})
	}
}

func TestNewWithDestroyedKey(t *testing.T) {
	id := dek.NewID()
	k, err := dek.Import(id, random(1, 32))
	require.NoError(t, err)
	k.Destroy()
	for _, s := range []Suite{SuiteGCM, SuiteCBC, SuiteXTS} {
		if s.Allowed(false) != nil {
			continue // refused before the key is looked at
		}
		_, err := New(s, k, Scope{Key: id, Domain: DomainVolume})
		require.ErrorIs(t, err, fault.State)
	}
	_, err = NewFrame(k, [16]byte{}, [16]byte{})
	require.ErrorIs(t, err, fault.State)
	_, err = LabelMAC(k, [16]byte{}, nil)
	require.ErrorIs(t, err, fault.State)
}
