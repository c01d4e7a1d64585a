package kms

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"github.com/cofferdb/coffer/internal/fault"
)

// Step is what was being done when a service failed.
type Step string

// The steps of asking a service.
const (
	StepCredentials Step = "credentials"
	StepWrap        Step = "wrap"
	StepUnwrap      Step = "unwrap"
)

// Error is a service's refusal or failure. It carries no text of the service's
// library, because that may hold more than a log should; what it holds is made
// of codes and of the service's message, cleaned.
type Error struct {
	Provider string        // "aws"
	Step     Step          // what was tried
	Kind     error         // one of the sentinels of this package
	Code     string        // the service's own, "" if none
	Status   int           // HTTP, 0 if there was no answer
	Message  string        // the service's, cleaned, at most 300 bytes
	After    time.Duration // the service asks to wait this long; 0 if it does not
	hint     string
	final    bool // trying again cannot help
}

// Error returns provider, step, kind, code and message.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kms: %s: %s: %s", e.Provider, e.Step, strings.TrimPrefix(e.Kind.Error(), "kms: "))
	var facts []string
	if e.Code != "" {
		facts = append(facts, e.Code)
	}
	if e.Status != 0 {
		facts = append(facts, fmt.Sprintf("HTTP %d", e.Status))
	}
	if len(facts) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(facts, ", "))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }

// hints say what to do about each kind; a provider that knows better says so.
var hints = map[error]string{
	ErrUnreachable: "Check the network, the endpoint's name and port, and its certificate: coffer kms test FILE shows which step fails.",
	ErrUnavailable: "The service has a fault of its own: try again later.",
	ErrThrottled:   "The account's request rate is used up: try again later, or ask the provider for a higher quota.",
	ErrDenied:      "Give the identity that asks the permission to wrap (encrypt) and to unwrap (decrypt) with this key.",
	ErrCredentials: "Log in again, or check the credentials that the provider's usual chain finds.",
	ErrClock:       "Set this machine's clock.",
	ErrKeyUnusable: "Enable the key, or put the DEK under another one with coffer kms rewrap while the old one still works.",
	ErrWrongKey:    "The file belongs to another key of the service, or was altered: put a backup copy of it in its place.",
	ErrAnswer:      "Something other than the key service answers there: check the endpoint.",
}

// fail makes the error of a step with its hint.
func fail(e *Error) error {
	if e.hint == "" {
		e.hint = hints[e.Kind]
	}
	e.Code, e.Message = clean(e.Code, 80), clean(e.Message, 300)
	return fault.Hint(e, e.hint)
}

// failed makes the error of a step that met no answer of the service: nil if err
// is none of the kind. Context errors of the caller stay what they are.
func failed(provider string, step Step, err error) error {
	var netErr net.Error
	var dns *net.DNSError
	var op *net.OpError
	e := &Error{Provider: provider, Step: step, Kind: ErrUnreachable}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Message = "no answer in time"
	case errors.As(err, &dns):
		e.Message = "the name " + dns.Name + " does not resolve"
	case isTLS(err):
		e.Message = "TLS: " + tlsMessage(err)
		e.hint = "The server's certificate is not one that is trusted for this name: check endpoint and certificate authority."
	case errors.As(err, &op):
		e.Message = op.Op + ": " + op.Err.Error()
	case errors.As(err, &netErr) && netErr.Timeout():
		e.Message = "no answer in time"
	case isCut(err):
		e.Message = "the connection was cut"
	default:
		return nil
	}
	return fail(e)
}

// clean makes text of a service fit for a terminal and a log.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if notPrinted(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// scrub drops the message of an error that repeats the secret that was sent.
func scrub(err error, secret []byte) error {
	var e *Error
	if !errors.As(err, &e) || len(secret) == 0 {
		return err
	}
	for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.RawStdEncoding.EncodeToString(secret),
		base64.RawURLEncoding.EncodeToString(secret)} {
		if strings.Contains(strings.ToLower(e.Code+e.Message), strings.ToLower(form[:min(len(form), 12)])) {
			e.Code, e.Message = "", "(message withheld: it repeats what was sent)"
			return err
		}
	}
	return err
}
