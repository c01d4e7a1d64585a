package kmip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

// Options are for connecting. nil and the zero value are usable.
type Options struct {
	// Log gets warnings, and what the server's configuration asks to log; nil drops it.
	Log *slog.Logger
	// DialContext makes a TCP connection to an address; nil is net.Dialer's.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxMessage is how large an answer may be, in bytes; 0 is [DefaultMaxMessage].
	MaxMessage int
	// MaxKeys is how many keys a listing may have; 0 is [DefaultMaxKeys].
	MaxKeys int

	now  func() time.Time          // tests stop the clock
	step func(Step, string, error) // Probe listens
}

func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.MaxMessage < 0 || c.MaxMessage > 1<<30 || c.MaxKeys < 0 || c.MaxKeys > 1<<20 {
		return c, usage("negative or absurd bounds")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = DefaultMaxKeys
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.step == nil {
		c.step = func(Step, string, error) {}
	}
	return c, nil
}

// dialer connects to one server.
type dialer struct {
	server Server
	opts   Options
	tls    *tls.Config
}

func newDialer(s Server, o *Options) (*dialer, error) {
	opts, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	c, err := tlsConfig(&s, opts.now())
	if err != nil {
		return nil, &Error{Server: s.Name, Step: StepConfig, Kind: ErrTLS, Err: err}
	}
	return &dialer{s, opts, c}, nil
}

// connect tries every address of every host in order and returns the first
// TLS connection. Its error is that of the last address, or of all where there
// are several.
func (d *dialer) connect(ctx context.Context) (*tls.Conn, error) {
	var failed []error
	for _, entry := range d.server.Hosts {
		host, port := d.server.hostPort(entry)
		addrs, err := d.resolve(ctx, host)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, a := range addrs {
			c, err := d.connectTo(ctx, host, net.JoinHostPort(a, port))
			if err == nil {
				return c, nil
			}
			failed = append(failed, err)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	if len(failed) == 1 {
		return nil, failed[0]
	}
	return nil, &severalError{failed}
}

// severalError is what every address of a server failed with, on one line.
type severalError struct{ all []error }

func (e *severalError) Error() string {
	texts := make([]string, len(e.all))
	for i, err := range e.all {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (e *severalError) Unwrap() []error { return e.all }

func (d *dialer) fail(addr string, step Step, kind, err error) error {
	hint := fault.HintOf(err)
	e := error(&Error{Server: d.server.Name, Addr: addr, Step: step, Kind: kind, Err: err})
	if hint != "" {
		e = fault.Hint(e, hint)
	}
	return e
}

func (d *dialer) resolve(ctx context.Context, host string) ([]string, error) {
	if net.ParseIP(host) != nil {
		return []string{host}, nil
	}
	ctx, stop := context.WithTimeout(ctx, d.server.timeout())
	defer stop()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	d.opts.step(StepResolve, host+" "+strings.Join(addrs, " "), err)
	if err != nil {
		return nil, d.fail(host, StepResolve, ErrUnreachable, fault.Hint(err, "Is the name right, and does this machine resolve it?"))
	}
	return addrs, nil
}

// connectTo makes one TCP connection and the TLS connection on it, within the
// time limit for both.
func (d *dialer) connectTo(ctx context.Context, host, addr string) (*tls.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, d.server.timeout())
	defer stop()
	tcp, err := d.opts.DialContext(ctx, "tcp", addr)
	if err != nil {
		err = d.fail(addr, StepConnect, ErrUnreachable, d.explainDial(err))
	}
	d.opts.step(StepConnect, addr, err)
	if err != nil {
		return nil, err
	}
	conf := d.tls.Clone()
	conf.ServerName = host
	if d.server.ServerName != "" {
		conf.ServerName = d.server.ServerName
	}
	c := tls.Client(tcp, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		kind, cause := explainTLS(&d.server, conf.ServerName, err)
		d.opts.step(StepTLS, addr, cause)
		return nil, d.fail(addr, StepTLS, kind, cause)
	}
	d.opts.step(StepTLS, d.describe(c), nil)
	if d.server.DebugTLS {
		d.opts.Log.Info("kmip: TLS", "server", d.server.Name, "address", addr, "connection", d.describe(c))
	}
	return c, nil
}

func (d *dialer) explainDial(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Hint(errors.New("connection refused"), "Nothing listens there: is the server running, are host and port right?")
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Hint(fmt.Errorf("no answer within %s", d.server.timeout()), "Host, port, or a firewall between. --timeout says how long to wait.")
	}
	return err
}

// describe says what the two sides agreed on, and who they are. It holds no secret.
func (d *dialer) describe(c *tls.Conn) string {
	st := c.ConnectionState()
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite))
	if len(st.PeerCertificates) > 0 {
		leaf := st.PeerCertificates[0]
		fmt.Fprintf(&b, "; server %q issued by %q until %s", leaf.Subject.String(), leaf.Issuer.String(), day(leaf.NotAfter))
	}
	if len(d.tls.Certificates) > 0 {
		leaf := d.tls.Certificates[0].Leaf
		fmt.Fprintf(&b, "; client %q issued by %q until %s", leaf.Subject.String(), leaf.Issuer.String(), day(leaf.NotAfter))
	}
	return b.String()
}
