package fips

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
)

// Env is the environment variable that asks for FIPS mode: 1, true, on or yes;
// 0, false, off, no or nothing leaves it to the program.
const Env = "COFFER_FIPS"

// A mode is the decision for a process. Tests make their own.
type mode struct {
	facts    func() facts
	getenv   func(string) string
	selfTest func() error

	mu     sync.Mutex             // held to write the fields below
	status atomic.Pointer[Status] // nil until the environment was read; then from Off or Unsupported to On or Failed, once
	used   atomic.Bool            // somebody was told that there is no FIPS mode, and acts on it
	logged atomic.Uint32          // the State that a log was told last
}

var process = &mode{facts: sync.OnceValue(linked), getenv: os.Getenv, selfTest: SelfTest}

// Require asks for FIPS mode: from now on, for the life of the process. It
// returns nil when the mode is on. Otherwise the mode is [Failed] (every service
// is refused from then on, a program should end) and the error is [ErrModule],
// [ErrPlatform] or [ErrSelfTest]; or, where cryptography was used before,
// nothing changes and it is [ErrLate]. It may be called again.
//
// The self-tests of the module itself have run before main: one that fails ends the process.
func Require() error { return process.require() }

// Enabled reports whether FIPS mode is on.
func Enabled() bool { return process.current().State == On }

// Current returns the state, without deciding anything: until cryptography is
// used, [Require] can still turn Off into On.
func Current() Status { return *process.current() }

// Start is for programs, and for packages before they open something: it
// returns the error of a mode that was asked for (in the environment, or earlier
// with [Require]) and failed. The first call writes the state to its log, which
// may be nil; another one does only when the state has changed since.
func Start(log *slog.Logger) error { return process.begin(log) }

// LibraryOnly reports whether everything must be done by Go's library, and not
// by kernels of our own: in FIPS mode, and also where GODEBUG=fips140=only
// makes the library refuse what is not approved, which kernels would evade. In the
// latter case nothing is claimed. The answer is final: see [ErrLate].
func LibraryOnly() bool { return process.restricted() }

// Allow returns nil if a service may be used: always without FIPS mode. With it
// the error of a service that is not approved is [ErrNotApproved]; when the mode
// failed it is that failure, whatever the service. The answer is final.
func Allow(s Service) error { return process.allow(s) }

func (m *mode) begin(log *slog.Logger) error {
	s := m.current()
	if log != nil && m.logged.Swap(uint32(s.State)) != uint32(s.State) {
		s.LogTo(log)
	}
	return s.Err
}

func (m *mode) require() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.decide()
	if s.State == On || s.State == Failed {
		return s.Err
	}
	if m.used.Load() {
		return ErrLate
	}
	s = m.start()
	m.status.Store(s)
	return s.Err
}

// current returns the state; what the environment asks for is done first.
func (m *mode) current() *Status {
	if s := m.status.Load(); s != nil {
		return s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.decide()
}

// decide reads the environment if nobody has. It is called under mu.
func (m *mode) decide() *Status {
	if s := m.status.Load(); s != nil {
		return s
	}
	s := m.fromEnvironment()
	m.status.Store(s)
	return s
}

func (m *mode) fromEnvironment() *Status {
	f := m.facts()
	wanted, err := parse(m.getenv(Env))
	switch {
	case err != nil:
		return f.status(Failed, failure(err))
	case wanted:
		return m.start()
	case f.unsupported != "":
		return f.status(Unsupported, nil)
	}
	return f.status(Off, nil)
}

// start does what Require promises.
func (m *mode) start() *Status {
	f := m.facts()
	err := f.check()
	if err == nil {
		err = m.selfTest()
	}
	if err != nil {
		return f.status(Failed, failure(err))
	}
	return f.status(On, nil)
}

func failure(err error) error { return fmt.Errorf("%v %w", Failed, err) }

// use returns the state and makes it final.
func (m *mode) use() *Status {
	if m.used.Load() {
		return m.status.Load()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.decide()
	m.used.Store(true)
	return s
}

func (m *mode) restricted() bool { return m.restricts(m.use()) }

func (m *mode) restricts(s *Status) bool { return s.State == On || m.facts().enforced }

func (m *mode) allow(s Service) error {
	now := m.use()
	if now.Err != nil {
		return now.Err
	}
	if m.restricts(now) {
		return s.approved()
	}
	return nil
}

// parse reads a value of COFFER_FIPS. What is neither on nor off is an error:
// somebody wanted something.
func parse(value string) (wanted bool, err error) {
	switch strings.ToLower(value) {
	case "", "0", "false", "off", "no":
		return false, nil
	case "1", "true", "on", "yes":
		return true, nil
	}
	return false, fmt.Errorf("%w: %q is neither 1 nor 0", ErrEnvironment, value)
}
