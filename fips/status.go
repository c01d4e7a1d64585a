package fips

import (
	"context"
	"log/slog"
)

// A State says what became of FIPS mode in this process.
type State uint8

// The states.
const (
	_           State = iota // no state
	Off                      // not asked for: Coffer's own kernels
	On                       // asked for, and the validated module is in use
	Failed                   // asked for, and not to be had: everything is refused
	Unsupported              // not asked for, and the module would not run on this platform
)

// subject begins every message.
const subject = "FIPS 140-3 compliant cryptography for database encryption "

var messages = [...]string{
	Off:         subject + "is not configured",
	On:          subject + "is enabled for this instance",
	Failed:      subject + "initialization failed. Aborting.",
	Unsupported: subject + "is not supported on this platform",
}

// String returns the message that goes to the log.
func (s State) String() string {
	if int(s) >= len(messages) || messages[s] == "" {
		return "fips: no state"
	}
	return messages[s]
}

// A Status is the state with its circumstances.
type Status struct {
	State State
	// Module is the version of Go's cryptographic module in this program, as
	// "v1.0.0", or "latest", which is the unvalidated one of the Go release.
	Module string
	// Build is what the program was built with, as "v1.0.0-c2097c7c": the module's
	// version to the byte. It is empty where the program does not say.
	Build string
	// Certificate is the CMVP's number for that version; empty without one.
	Certificate string
	// Err is why it failed; nil in the other states.
	Err error
}

// String returns the message and the module.
func (s Status) String() string {
	text := s.State.String() + " (" + s.module()
	if s.Certificate != "" {
		text += ", CMVP certificate " + s.Certificate
	}
	return text + ")"
}

func (s Status) module() string {
	if s.Build != "" && s.Build != s.Module {
		return "Go Cryptographic Module " + s.Module + ", build " + s.Build
	}
	return "Go Cryptographic Module " + s.Module
}

// LogTo writes the state to a log: as an error when it failed, else as information.
func (s Status) LogTo(l *slog.Logger) {
	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("module", s.module())}
	if s.Certificate != "" {
		attrs = append(attrs, slog.String("certificate", s.Certificate))
	}
	if s.Err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", s.Err))
	}
	l.LogAttrs(context.Background(), level, s.State.String(), attrs...)
}
