package kmip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/kmip/internal/wire"
)

// conn is one TLS connection to one address. After an error it is of no use.
type conn struct {
	tls  *tls.Conn
	addr string
	d    *dialer
}

// exchangeError says whether the request may have reached the server.
type exchangeError struct {
	sent bool
	step Step
	kind error
	err  error
}

func (e *exchangeError) Error() string { return string(e.step) + ": " + e.err.Error() }
func (e *exchangeError) Unwrap() []error {
	return []error{e.kind, e.err}
}

// exchange sends a message and returns the answer, both whole, within the
// configuration's time-out. No log holds the secrets. The error is an *exchangeError, or ctx's.
func (c *conn) exchange(ctx context.Context, request []byte, hush secrets) ([]byte, error) {
	timeout := c.d.server.timeout()
	_ = c.tls.SetDeadline(time.Now().Add(timeout)) // a closed connection says so when it is used
	stop := context.AfterFunc(ctx, func() { _ = c.tls.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.log("sends", request, hush)
	if n, err := c.tls.Write(request); err != nil {
		return nil, c.failed(ctx, n > 0, StepSend, err)
	}
	answer, err := wire.ReadFrame(c.tls, wire.Response, c.d.opts.MaxMessage)
	if err != nil {
		return nil, c.failed(ctx, true, StepReceive, err)
	}
	c.log("answers", answer, hush)
	if err := wire.Check(answer); err != nil {
		return nil, &exchangeError{true, StepDecode, ErrProtocol, err}
	}
	return answer, nil
}

func (c *conn) failed(ctx context.Context, sent bool, step Step, err error) error {
	if ctx.Err() != nil {
		return &exchangeError{sent, step, ErrUnreachable, ctx.Err()}
	}
	var timeout net.Error
	_, alerted := alertOf(err)
	switch {
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrTooLarge):
		return &exchangeError{sent, StepDecode, ErrProtocol, err}
	case alerted:
		kind, cause := explainTLS(&c.d.server, c.addr, err)
		return &exchangeError{false, StepTLS, kind, cause} // TLS 1.3 refuses a client's certificate after the handshake
	case errors.As(err, &timeout) && timeout.Timeout():
		return &exchangeError{sent, step, ErrUnreachable,
			fault.Hint(fmt.Errorf("no answer within %s", c.d.server.timeout()), "The server, or something between, hangs. --timeout says how long to wait.")}
	case errors.Is(err, io.EOF):
		return &exchangeError{sent, step, ErrUnreachable,
			fault.Hint(errors.New("the server closed the connection without an answer"), "Its own log says why; often it does not take the client's certificate.")}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &exchangeError{sent, step, ErrUnreachable, errors.New("the connection was cut in the middle of the answer")}
	}
	return &exchangeError{sent, step, ErrUnreachable, err}
}

func (c *conn) log(what string, message []byte, hush secrets) {
	if c.d.server.LogMessages {
		c.d.opts.Log.Info("kmip: message", "server", c.d.server.Name, what, hush.hide(wire.Text(message)))
	}
}

// close ends the connection without waiting for the other side.
func (c *conn) close() {
	_ = c.tls.NetConn().Close() // nothing is lost: every exchange is whole or failed
}
