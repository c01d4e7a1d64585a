package kms

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// Check is one step of [Probe].
type Check struct {
	Step   string `json:"step"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what was found, or what is wrong
	Hint   string `json:"hint,omitempty"`
	Err    error  `json:"-"`
}

// Probe does, step by step, what using a KMS key file needs, and says of each
// step whether it works: the file, the place, name resolution, connection, TLS
// with the certificate's subject and expiry, credentials, unwrapping, the file's
// MAC, and wrapping, which only a rewrap needs. It stops at the first that fails,
// writes nothing, and tries each step once. The last check's Err is nil if all is well.
func Probe(ctx context.Context, path string, o *Options) []Check {
	opts, err := o.complete()
	if err != nil {
		return []Check{failedCheck("options", err)}
	}
	opts.Attempts = 1
	p := &prober{ctx: ctx, opts: opts}
	p.run(path)
	return p.done
}

type prober struct {
	ctx  context.Context
	opts *Options
	done []Check
}

func failedCheck(step string, err error) Check {
	return Check{Step: step, Detail: err.Error(), Hint: fault.HintOf(err), Err: err}
}

// step records a step and reports whether the next one makes sense.
func (p *prober) step(name, detail string, err error) bool {
	if err != nil {
		p.done = append(p.done, failedCheck(name, err))
		return false
	}
	p.done = append(p.done, Check{Step: name, OK: true, Detail: detail})
	return true
}

func (p *prober) run(path string) {
	f, err := Open(path, p.opts)
	if err != nil {
		p.step("file", "", err)
		return
	}
	c := f.cur
	p.step("file", fmt.Sprintf("key %s, %d bits, checksum correct", c.id, c.bits), nil)
	prov, place, err := p.opts.check(c.place)
	var w Wrapper
	if err == nil {
		w, err = prov.Connect(p.ctx, place, p.opts)
	}
	if !p.step("place", place.Provider+", "+place.ServerKey, err) || !p.reach(w) {
		return
	}
	who, err := attempt(p.ctx, p.opts, StepCredentials, w.Credentials)
	if !p.step("credentials", who, err) {
		return
	}
	k, err := unwrap(p.ctx, p.opts, w, c, f.data)
	if !p.step("unwrap", "the key came back, and the file is authentic", err) {
		return
	}
	defer k.Destroy()
	_, err = attempt(p.ctx, p.opts, StepWrap, func(ctx context.Context) (Wrapped, error) { return w.Wrap(ctx, k) })
	p.step("wrap", "allowed; a rewrap would work", scrub(err, k.ExposeSecret()))
}

// reach does name resolution, connection and TLS, where there is a network.
func (p *prober) reach(w Wrapper) bool {
	u := w.Endpoint()
	if u == nil {
		return true
	}
	if proxied() {
		return p.step("network", "a proxy is set; the steps before the service are its affair", nil)
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opts.Timeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if !p.step("name resolution", u.Hostname()+": "+strings.Join(addrs, ", "), reachError(err)) {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return p.step("connection", "", reachError(err))
	}
	defer conn.Close()
	p.step("connection", conn.RemoteAddr().String(), nil)
	if u.Scheme == "http" {
		return p.step("TLS", "none: plain HTTP, on this machine only", nil)
	}
	detail, err := p.handshake(ctx, conn, u)
	return p.step("TLS", detail, err)
}

// proxied reports whether the environment sends HTTPS through a proxy.
func proxied() bool { return os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != "" }

func (p *prober) handshake(ctx context.Context, conn net.Conn, u *url.URL) (string, error) {
	roots, err := p.roots()
	if err != nil {
		return "", err
	}
	t := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname(), RootCAs: roots})
	if err := t.HandshakeContext(ctx); err != nil {
		return "", reachError(err)
	}
	s := t.ConnectionState()
	cert := s.PeerCertificates[0]
	return fmt.Sprintf("%s, subject %s, until %s", tls.VersionName(s.Version), clean(cert.Subject.String(), 200),
		cert.NotAfter.UTC().Format("2006-01-02 15:04")), nil
}

// roots are the authorities that the providers trust: Azure's of the options,
// AWS's of the variable that its library reads.
func (p *prober) roots() (*x509.CertPool, error) {
	for _, path := range []string{p.opts.Private.CAFile, p.opts.getenv("AWS_CA_BUNDLE")} {
		if path != "" {
			return readCA(p.opts.FS, path)
		}
	}
	return nil, nil
}

// reachError is an error of the network in this package's words.
func reachError(err error) error {
	if err == nil {
		return nil
	}
	if f := failed("", "reach", err); f != nil {
		var e *Error
		if errors.As(f, &e) {
			return fault.Hint(fmt.Errorf("%w: %s", e.Kind, e.Message), fault.HintOf(f))
		}
	}
	return fault.Hint(fmt.Errorf("%w: %s", ErrUnreachable, clean(err.Error(), 200)), hints[ErrUnreachable])
}
