package fips

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
)

// good are the facts of a program built as it should be.
var good = facts{enabled: true, version: "v1.0.0", build: "v1.0.0-c2097c7c"}

// newMode makes a process of the test's own.
func newMode(f facts, env string) *mode {
	return &mode{
		facts: func() facts { return f }, selfTest: func() error { return nil },
		getenv: func(name string) string { return map[string]string{Env: env}[name] },
	}
}

// with returns the good facts, changed.
func with(change func(*facts)) facts {
	f := good
	change(&f)
	return f
}

func TestStates(t *testing.T) {
	latest := with(func(f *facts) { f.version, f.build = "latest", "" })
	for name, c := range map[string]struct {
		facts   facts
		env     string
		require bool
		state   State
		err     error
		message string
	}{
		"off":                         {good, "", false, Off, nil, "is not configured"},
		"off by name":                 {good, "0", false, Off, nil, "is not configured"},
		"off, without the module":     {latest, "", false, Off, nil, "is not configured"},
		"on by environment":           {good, "1", false, On, nil, "is enabled for this instance"},
		"on by a word":                {good, "On", false, On, nil, "is enabled for this instance"},
		"on by Require":               {good, "", true, On, nil, "is enabled for this instance"},
		"on by both":                  {good, "1", true, On, nil, "is enabled for this instance"},
		"Require over 0":              {good, "0", true, On, nil, "is enabled for this instance"},
		"GODEBUG alone":               {latest, "1", false, Failed, ErrModule, "initialization failed. Aborting."},
		"GODEBUG alone, Require":      {latest, "", true, Failed, ErrModule, "initialization failed. Aborting."},
		"frozen, not validated":       {with(func(f *facts) { f.version = "v1.26.0" }), "1", false, Failed, ErrModule, "initialization failed. Aborting."},
		"validated and switched off":  {with(func(f *facts) { f.enabled = false }), "1", false, Failed, ErrModule, "initialization failed. Aborting."},
		"no platform, not asked":      {with(func(f *facts) { f.unsupported = "no" }), "", false, Unsupported, nil, "is not supported on this platform"},
		"no platform, asked":          {with(func(f *facts) { f.unsupported = "no" }), "1", false, Failed, ErrPlatform, "initialization failed. Aborting."},
		"neither on nor off":          {good, "perhaps", false, Failed, ErrEnvironment, "initialization failed. Aborting."},
		"neither on nor off, Require": {good, "perhaps", true, Failed, ErrEnvironment, "initialization failed. Aborting."},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMode(c.facts, c.env)
			if c.require {
				require.Equal(t, c.err == nil, m.require() == nil)
			}
			s := m.current()
			require.Equal(t, c.state, s.State)
			require.ErrorIs(t, s.Err, c.err)
			require.Contains(t, s.String(), "FIPS 140-3 compliant cryptography for database encryption "+c.message)
			require.Contains(t, s.String(), c.facts.version)
			for _, info := range Services() {
				err := m.allow(info.Service)
				switch c.state {
				case Failed:
					require.ErrorIs(t, err, c.err, "%v: everything is refused", info.Name)
				case On:
					require.Equal(t, info.Approved, err == nil, info.Name)
				default:
					require.NoError(t, err, info.Name)
				}
			}
			require.Equal(t, c.state == On, m.restricted())
			// Asked again, the answer is the same.
			if c.state == On || c.state == Failed {
				require.Equal(t, s.Err, m.require())
			} else {
				require.ErrorIs(t, m.require(), ErrLate)
				require.ErrorIs(t, m.require(), fault.State)
				require.Equal(t, c.state, m.current().State)
			}
		})
	}
}

// A program may look at the state, and ask for the mode afterwards; not once it has used cryptography.
func TestLookingDecidesNothing(t *testing.T) {
	m := newMode(good, "")
	require.Equal(t, Off, m.current().State)
	require.NoError(t, m.require())
	require.Equal(t, On, m.current().State)

	m = newMode(good, "")
	require.False(t, m.restricted())
	require.ErrorIs(t, m.require(), ErrLate)
	require.Equal(t, Off, m.current().State)
}

func TestSelfTestFailureIsFatal(t *testing.T) {
	m := newMode(good, "1")
	m.selfTest = func() error { return ErrSelfTest }
	require.Equal(t, Failed, m.current().State)
	require.ErrorIs(t, m.allow(GCMOpen), ErrSelfTest)
	require.ErrorIs(t, m.allow(GCMOpen), fault.Unsupported)
}

// GODEBUG=fips140=only makes the library refuse what is not approved. Kernels
// must not go round it, whether or not the module is validated.
func TestEnforcedLibrary(t *testing.T) {
	m := newMode(facts{enabled: true, enforced: true, version: "latest"}, "")
	require.True(t, m.restricted())
	require.NoError(t, m.allow(GCMSeal))
	require.ErrorIs(t, m.allow(XTS), ErrNotApproved)
	require.Equal(t, Off, m.current().State, "nothing is claimed")
}

func TestServices(t *testing.T) {
	var approved, refused []string
	for _, s := range Services() {
		require.NotEmpty(t, s.Name)
		require.NotEmpty(t, s.Standard)
		require.Equal(t, s.Name, s.Service.String())
		err := s.Service.approved()
		if s.Approved {
			require.NoError(t, err)
			approved = append(approved, s.Name)
			continue
		}
		require.ErrorIs(t, err, ErrNotApproved)
		require.ErrorIs(t, err, fault.Unsupported)
		require.ErrorContains(t, err, s.Reason)
		require.NotEmpty(t, fault.HintOf(err))
		refused = append(refused, s.Name)
	}
	require.Len(t, approved, 11)
	require.Equal(t, []string{"AES-CBC with GMAC, sealing", "XTS-AES with GMAC", "AES-SIV", "FF1", "scrypt, Argon2", "other ciphers"}, refused)
	for _, s := range []Service{0, Service(len(rules)), 255} {
		require.ErrorIs(t, s.approved(), ErrNotApproved)
		require.Contains(t, s.String(), "service(")
	}
}

func TestLog(t *testing.T) {
	for state, want := range map[State]string{
		Off:         "level=INFO msg=\"FIPS 140-3 compliant cryptography for database encryption is not configured\" module=\"Go Cryptographic Module v1.0.0\"\n",
		On:          "level=INFO msg=\"FIPS 140-3 compliant cryptography for database encryption is enabled for this instance\" module=\"Go Cryptographic Module v1.0.0\"\n",
		Unsupported: "level=INFO msg=\"FIPS 140-3 compliant cryptography for database encryption is not supported on this platform\" module=\"Go Cryptographic Module v1.0.0\"\n",
	} {
		require.Equal(t, want, logged(Status{State: state, Module: "v1.0.0"}))
	}
	failed := logged(Status{State: Failed, Module: "latest", Err: ErrModule})
	require.Contains(t, failed, "level=ERROR msg=\"FIPS 140-3 compliant cryptography for database encryption initialization failed. Aborting.\"")
	require.Contains(t, failed, "error=")
	on := logged(Status{State: On, Module: "v1.0.0", Build: "v1.0.0-c2097c7c", Certificate: "5247"})
	require.Contains(t, on, "build v1.0.0-c2097c7c")
	require.Contains(t, on, "certificate=5247")
	require.Equal(t, "fips: no state", State(0).String())
	require.Equal(t, "fips: no state", State(99).String())
}

// One line for each state of the process, however many volumes are opened.
func TestLogOnce(t *testing.T) {
	var b bytes.Buffer
	m := newMode(good, "")
	require.NoError(t, m.begin(nil))
	for range 3 {
		require.NoError(t, m.begin(textLog(&b)))
	}
	require.NoError(t, m.require())
	for range 3 {
		require.NoError(t, m.begin(textLog(&b)))
	}
	require.Equal(t, 2, strings.Count(b.String(), "\n"), b.String())
	require.Contains(t, b.String(), "not configured")
	require.Contains(t, b.String(), "enabled for this instance")
	require.ErrorIs(t, newMode(good, "what").begin(textLog(&b)), ErrEnvironment)
	require.Contains(t, b.String(), "Aborting.")
}

func textLog(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func logged(s Status) string {
	var b bytes.Buffer
	s.LogTo(textLog(&b))
	return b.String()
}

func TestSelfTest(t *testing.T) {
	require.NoError(t, SelfTest())
	require.Len(t, selfTests, 9)
	was := selfTests[1].want
	defer func() { selfTests[1].want = was }()
	selfTests[1].want = "00"
	require.ErrorIs(t, SelfTest(), ErrSelfTest)
}
