package kmip

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ovh/kmip-go"
	"github.com/ovh/kmip-go/ttlv"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	d       *dialer
	auth    *kmip.Authentication
	version Version // set by Dial
	offered []Version

	asked sync.Once        // guards the writing of ops
	ops   []kmip.Operation // what the server says that it does

	turn   chan struct{} // holds one token; who has it may use what is below
	conn   *conn         // nil: not connected
	closed bool
}

// Back-off between two attempts at a connection.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 8 * time.Second
)

// Dial connects to the server, at the first of its addresses that works, and
// settles the protocol version. Errors are of type [*Error] and match
// [ErrUnreachable], [ErrTLS], [ErrVersion], [ErrDenied], [ErrProtocol]; a bad
// configuration is [ErrUsage].
func Dial(ctx context.Context, s Server, o *Options) (*Client, error) {
	d, err := newDialer(s, o)
	if err != nil {
		return nil, err
	}
	c := &Client{d: d, turn: make(chan struct{}, 1)}
	if err := c.readCredential(); err != nil {
		return nil, err
	}
	c.turn <- struct{}{}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if err := c.negotiate(ctx); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection, after the operation that is under way.
func (c *Client) Close() error {
	<-c.turn
	defer func() { c.turn <- struct{}{} }()
	c.drop()
	c.closed = true
	return nil
}

// Version returns the version that is spoken.
func (c *Client) Version() Version { return c.version }

// Offered returns the versions that the server says it speaks, of those that
// Coffer does; nil where it does not say.
func (c *Client) Offered() []Version { return c.offered }

func (c *Client) readCredential() error {
	s := &c.d.server
	if s.User == "" {
		return nil
	}
	password, err := readBounded(s.PasswordFile)
	if err != nil {
		return &Error{Server: s.Name, Step: StepConfig, Kind: ErrUsage, Err: err}
	}
	defer secmem.Wipe(password)
	c.auth = &kmip.Authentication{Credential: kmip.Credential{
		CredentialType: kmip.CredentialTypeUsernameAndPassword,
		CredentialValue: kmip.CredentialValue{UserPassword: &kmip.CredentialValueUserPassword{
			Username: s.User, Password: strings.TrimRight(string(password), "\r\n")}},
	}}
	return nil
}

// connect makes a connection, with as many attempts more as the configuration
// allows where the server is out of reach. Only Dial and holders of the turn call it.
func (c *Client) connect(ctx context.Context) error {
	pause := firstPause
	for left := c.d.server.Reconnect; ; left-- {
		t, err := c.d.connect(ctx)
		if err == nil {
			c.conn = &conn{t, t.RemoteAddr().String(), c.d}
			return nil
		}
		if left <= 0 || !errors.Is(err, ErrUnreachable) || ctx.Err() != nil {
			return err
		}
		c.d.opts.Log.Warn("kmip: the server is out of reach, trying again", "server", c.d.server.Name, "pause", pause.String())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

func (c *Client) drop() {
	if c.conn != nil {
		c.conn.close()
		c.conn = nil
	}
}

// request is one operation: what to send, and whether it changes something, so
// that it must not be sent twice.
type request struct {
	op      kmip.Operation
	payload func(dialect) any
	changes bool
	secret  []byte // in the payload, besides the credential; nil for none
}

// do does an operation and returns the payload of its answer.
func (c *Client) do(ctx context.Context, r request) (any, error) {
	answer, err := c.roundTrip(ctx, r, c.version)
	if err != nil {
		return nil, err
	}
	if answer.status != kmip.ResultStatusSuccess {
		return nil, c.refused(r, answer)
	}
	switch {
	case answer.version != c.version.wire():
		return nil, c.improper(r.op, fmt.Errorf("the answer is in version %s", answer.version))
	case answer.op != r.op:
		return nil, c.improper(r.op, fmt.Errorf("the answer is to %s", opName(answer.op)))
	case answer.payload == nil:
		return nil, c.improper(r.op, errors.New("the answer is empty"))
	}
	return answer.payload, nil
}

// refused is the error for an operation that the server did not do.
func (c *Client) refused(r request, a *response) error {
	e := a.result
	if a.status != kmip.ResultStatusOperationFailed {
		return c.improper(r.op, fmt.Errorf("status %s", ttlv.EnumStr(a.status)))
	}
	e.message = c.secrets(r).hide(e.message)
	return fault.Hint(c.error(opName(r.op), StepAnswer, e.kind(), &e), e.hint())
}

// secrets are those of a request.
func (c *Client) secrets(r request) (s secrets) {
	if c.auth != nil {
		s = s.with(c.auth.Credential.CredentialValue.UserPassword.Password)
	}
	if len(r.secret) > 0 {
		s = s.with(string(r.secret))
	}
	return s
}

func (c *Client) improper(op kmip.Operation, err error) error {
	return c.error(opName(op), StepDecode, ErrProtocol, err)
}

func (c *Client) error(op string, step Step, kind, err error) error {
	return &Error{Server: c.d.server.Name, Op: op, Step: step, Kind: kind, Err: err}
}

func opName(op kmip.Operation) string {
	if name := ttlv.EnumStr(op); name != "" {
		return name
	}
	return fmt.Sprintf("operation %#x", uint32(op))
}

// roundTrip sends a request in version v and returns the answer, whatever it
// says. What changes nothing is sent again over a new connection, where the
// configuration allows reconnecting.
func (c *Client) roundTrip(ctx context.Context, r request, v Version) (*response, error) {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	d := dialectOf(v)
	for left := c.d.server.Reconnect; ; left-- {
		if err := c.ready(ctx); err != nil {
			return nil, err
		}
		frame := d.message(header{v, int32(c.d.opts.MaxMessage), c.auth, c.d.opts.now()}, r.op, r.payload(d))
		answer, err := c.conn.exchange(ctx, frame, c.secrets(r))
		secmem.Wipe(frame)
		if err == nil {
			parsed, err := d.parse(answer)
			secmem.Wipe(answer)
			if ctx.Err() != nil {
				c.drop() // the end of ctx may be about to end what the connection does next
			}
			if err != nil {
				c.drop()
				return nil, c.improper(r.op, err)
			}
			return parsed, nil
		}
		addr := c.conn.addr
		c.drop()
		if err, again := c.broken(ctx, r, addr, err); !again || left <= 0 {
			return nil, err
		}
	}
}

// ready makes sure there is a connection.
func (c *Client) ready(ctx context.Context) error {
	switch {
	case c.closed:
		return ErrClosed
	case c.conn != nil:
		return nil
	case c.d.server.Reconnect == 0:
		return fault.Hint(c.error("", StepConnect, ErrClosed, errors.New("the connection was lost earlier")),
			"Connect again, or let the configuration do so: --reconnect N.")
	}
	return c.connect(ctx)
}

// broken explains a failed exchange, and says whether it may be tried again.
func (c *Client) broken(ctx context.Context, r request, addr string, err error) (error, bool) {
	var e *exchangeError
	if !errors.As(err, &e) {
		return err, false
	}
	full := &Error{Server: c.d.server.Name, Addr: addr, Op: opName(r.op), Step: e.step, Kind: e.kind, Err: e.err}
	if r.changes && e.sent {
		full.Err = fmt.Errorf("%w; whether it was done is not known", e.err)
		full.Kind = fmt.Errorf("%w (%w)", ErrOutcomeUnknown, e.kind)
		return fault.Hint(full, "See what is there: coffer kmip key list."), false
	}
	again := errors.Is(e.kind, ErrUnreachable) && ctx.Err() == nil
	if hint := fault.HintOf(e.err); hint != "" {
		return fault.Hint(full, hint), again
	}
	return full, again
}
