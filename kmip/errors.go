package kmip

import (
	"errors"
	"fmt"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/internal/fault"
)

// Markers for errors.Is, shared with Coffer's other packages.
var (
	// ErrUsage: an argument or a configuration is out of bounds.
	ErrUsage = fault.Usage
	// ErrState: refused because of the state of a key, here or on the server.
	ErrState = fault.State
	// ErrUnsupported: the server does not do this, or Coffer cannot use the key.
	ErrUnsupported = fault.Unsupported
	// ErrVersion: no protocol version in common, or not the one that was asked for.
	ErrVersion = fault.Version
	// ErrOutcomeUnknown: the connection broke after a change was asked for.
	ErrOutcomeUnknown = fault.OutcomeUnknown
)

// Errors of reaching a server.
var (
	// ErrUnreachable: no name, no connection, or no answer in time.
	ErrUnreachable = errors.New("kmip: server out of reach")
	// ErrTLS: one side refused the other's certificate, or nothing is in common.
	ErrTLS = errors.New("kmip: no TLS connection")
	// ErrProtocol: the answer is no KMIP message, or not one to what was asked.
	ErrProtocol = errors.New("kmip: not a proper answer")
	// ErrClosed: the client was closed, or lost its connection and may not reconnect.
	ErrClosed = fmt.Errorf("kmip: connection is closed: %w", fault.State)
)

// Errors that the server answers, or that its answer means.
var (
	// ErrDenied: the server did not accept who asks, or does not let it.
	ErrDenied = errors.New("kmip: permission denied")
	// ErrNotFound: no such key, or none that this client may see.
	ErrNotFound = fmt.Errorf("kmip: no such key: %w", fault.NotActivated)
	// ErrTooMany: more keys match than were allowed for, or than can be meant.
	ErrTooMany = fmt.Errorf("kmip: too many keys: %w", fault.State)
	// ErrForeign: the key has no GUID.
	ErrForeign = fmt.Errorf("kmip: key without a GUID: %w", fault.State)
	// ErrFailed: any other failure that the server reports.
	ErrFailed = errors.New("kmip: operation failed")
)

// Errors of configurations.
var (
	// ErrUnknownServer: no configuration of that name.
	ErrUnknownServer = fmt.Errorf("kmip: unknown server: %w", fault.Usage)
	// ErrServerExists: there is a configuration of that name already.
	ErrServerExists = fmt.Errorf("kmip: server exists already: %w", fault.State)
)

// Step is the part of talking to a server during which something went wrong.
type Step string

// The steps, in their order.
const (
	StepConfig  Step = "configuration"
	StepResolve Step = "name resolution"
	StepConnect Step = "connection"
	StepTLS     Step = "TLS"
	StepVersion Step = "protocol version"
	StepSend    Step = "sending"
	StepReceive Step = "waiting for the answer"
	StepDecode  Step = "reading the answer"
	StepAnswer  Step = "the server's answer"
)

// Error says at which step of which operation with which server something went
// wrong. Its text holds no secret. It matches one of the package's errors, and
// what caused it.
type Error struct {
	Server string // the configuration's name
	Addr   string // host and port, where it came so far
	Op     string // the operation, "" before there is one
	Step   Step
	Kind   error // one of the package's errors
	Err    error // what happened; nil where Kind says it all
}

func (e *Error) Error() string {
	text := "kmip: server " + e.Server
	if e.Addr != "" {
		text += " (" + e.Addr + ")"
	}
	if e.Op != "" {
		text += ": " + e.Op
	}
	if e.Step != StepAnswer {
		text += ": " + string(e.Step)
	}
	if e.Err != nil {
		return text + ": " + e.Err.Error()
	}
	return text + ": " + e.Kind.Error()
}

// Unwrap makes errors.Is find both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func usage(format string, args ...any) error {
	return fmt.Errorf("kmip: %w: %w", fault.Usage, fmt.Errorf(format, args...))
}

// resultError is what a server answered instead of doing something.
type resultError struct {
	reason  kmip.ResultReason
	message string
}

// shownMessage bounds how much of a server's own words is repeated, in bytes.
const shownMessage = 300

func (e *resultError) Error() string {
	name := ttlv.EnumStr(e.reason)
	if name == "" {
		name = fmt.Sprintf("reason %#x", uint32(e.reason))
	}
	if e.message == "" {
		return "the server says " + name
	}
	text := e.message
	if len(text) > shownMessage {
		text = text[:shownMessage] + "…"
	}
	return fmt.Sprintf("the server says %s: %q", name, text)
}

// Result reasons that are new in KMIP 2.0 (KMIP 2.1, section 11.45).
const (
	reasonUnsupportedAttribute  kmip.ResultReason = 0x1F
	reasonInvalidAttribute      kmip.ResultReason = 0x2C
	reasonInvalidAttributeValue kmip.ResultReason = 0x2D
	reasonObjectDestroyed       kmip.ResultReason = 0x36
	reasonObjectNotFound        kmip.ResultReason = 0x37
	reasonNotAuthorized         kmip.ResultReason = 0x39
	reasonUnsupportedVersion    kmip.ResultReason = 0x3F
	reasonWrongLifecycleState   kmip.ResultReason = 0x43
)

// kind returns the package's error for a result reason.
func (e *resultError) kind() error {
	switch e.reason {
	case kmip.ResultReasonItemNotFound, reasonObjectNotFound, reasonObjectDestroyed:
		return ErrNotFound
	case kmip.ResultReasonPermissionDenied, reasonNotAuthorized, kmip.ResultReasonAuthenticationNotSuccessful:
		return ErrDenied
	case kmip.ResultReasonOperationNotSupported, kmip.ResultReasonFeatureNotSupported,
		kmip.ResultReasonKeyFormatTypeNotSupported, kmip.ResultReasonKeyCompressionTypeNotSupported,
		kmip.ResultReasonEncodingOptionError:
		return ErrUnsupported
	case kmip.ResultReasonIllegalOperation, kmip.ResultReasonObjectArchived, reasonWrongLifecycleState:
		return ErrState
	case reasonUnsupportedVersion:
		return ErrVersion
	case kmip.ResultReasonResponseTooLarge:
		return ErrTooMany
	}
	return ErrFailed
}

// hint says what to do about an answer.
func (e *resultError) hint() string {
	switch e.kind() {
	case ErrNotFound:
		return "The key was destroyed, never existed, or belongs to another owner; coffer kmip key list shows what this client sees."
	case ErrDenied:
		return "The client's certificate (its common name is who it is), or the user and password, must be known to the server and allowed this."
	case ErrState:
		return "coffer kmip key list shows the keys' states. An active key must be revoked before it can be destroyed."
	}
	return ""
}
