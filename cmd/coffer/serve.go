package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/control"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/localsock"
	"github.com/cofferdb/coffer/nbd"
)

// serveFlags are those of serve nbd.
type serveFlags struct {
	volume              volumeFlags
	socket, listen      string
	cert, key, clientCA string
	name                string
	readOnly            bool
	connections         int
}

func (p *program) serveCmd() *cobra.Command {
	return p.group("serve", "Serve a volume to other programs", p.serveNBDCmd())
}

func (p *program) serveNBDCmd() *cobra.Command {
	var o serveFlags
	c := p.verb("nbd VOLUME (--socket PATH | --listen ADDRESS:PORT)", "Serve a volume as a network block device", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.serveNBD(ctx, args[0], &o) })
	c.Long = `Serve a volume as a network block device, until SIGINT or SIGTERM: an encrypted
disk for file systems, virtual machines and databases. When it is ready the
device's URI is printed, for nbdinfo, nbdcopy, nbdfuse, qemu and fio.

  --socket PATH           a unix socket for this user alone
  --listen 127.0.0.1:PORT TCP on this machine, with TLS: --tls-cert and --tls-key
                          are the server's, --client-ca is the authority whose
                          clients are let in; others are not

A flush, and a write with FUA, is a durable commit, and covers what was answered
on every connection; trimmed blocks become authenticated holes. At the end, what
was received is answered, the volume is checkpointed and closed, and the exit
code is 0. Requests of whole blocks cost least: make the volume with the block
size of the file system that goes onto it, such as create --block-size 4096.

Meanwhile coffer info, anchor, verify, backup and rekey work on the volume: they
are sent to this process through the socket VOLUME.ctl. A re-key to a new key
makes it read its own key files and services again.`
	o.volume.register(c)
	o.volume.registerDiscard(c)
	f := c.Flags()
	f.StringVar(&o.socket, "socket", "", "serve on the unix socket `PATH`")
	f.StringVar(&o.listen, "listen", "", "serve on this `ADDRESS` of this machine, such as 127.0.0.1:10809, with TLS")
	f.StringVar(&o.cert, "tls-cert", "", "`FILE` with the server's certificate, PEM")
	f.StringVar(&o.key, "tls-key", "", "`FILE` with its key, PEM")
	f.StringVar(&o.clientCA, "client-ca", "", "`FILE` with the certificates of those who certify clients, PEM")
	f.StringVar(&o.name, "export-name", "", "`NAME` of the device beside the empty one")
	f.BoolVar(&o.readOnly, "read-only", false, "open the volume without the right to change it")
	f.IntVar(&o.connections, "max-connections", 0, "connections at a time; 0 is 16")
	c.MarkFlagsOneRequired("socket", "listen")
	c.MarkFlagsMutuallyExclusive("socket", "listen")
	c.MarkFlagsRequiredTogether("listen", "tls-cert", "tls-key", "client-ca")
	c.MarkFlagsMutuallyExclusive("read-only", "discard-journal")
	return c
}

// serveNBD serves until ctx ends. What can be refused is refused before the volume is opened.
func (p *program) serveNBD(ctx context.Context, path string, o *serveFlags) (err error) {
	config, err := o.tls()
	if err != nil {
		return err
	}
	if _, err := inspect(path); err != nil {
		return err
	}
	if err := o.check(path); err != nil {
		return err
	}
	l, uri, err := o.listener()
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // Serve does, where it comes to that
	return p.withVolume(ctx, path, &o.volume, o.readOnly, func(s *volume) (err error) {
		if !o.readOnly {
			close, err := p.answer(s, &o.volume.keys)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, close()) }()
		}
		server, err := nbd.NewServer(nbd.Volume(s.Store), nbd.Options{Name: o.name, TLS: config, MaxConnections: o.connections, Logger: p.logger()})
		if err != nil {
			return err
		}
		if err := p.print("%s", uri); err != nil {
			return err
		}
		return p.serveUntil(ctx, server, l)
	})
}

// check refuses what would be refused once the volume is open.
func (o *serveFlags) check(path string) error {
	if o.connections < 0 {
		return usagef("--max-connections: %d", o.connections)
	}
	if len(o.name) > 4096 {
		return usagef("--export-name: at most 4096 bytes")
	}
	ctl := control.Path(fsx.Resolve(fsx.OS(), path))
	if info, err := os.Lstat(ctl); err == nil && info.Mode().Type() != fs.ModeSocket && !o.readOnly {
		return fault.Hint(statef("%s is there and is no socket", ctl), "Commands reach the volume through a socket of that name while it is served: move the file away.")
	}
	return nil
}

// leaveTimeout is how long clients may take for the answers that they wait for, at the end.
const leaveTimeout = 10 * time.Second

// serveUntil serves until ctx ends, and then shuts down.
func (p *program) serveUntil(ctx context.Context, server *nbd.Server, l net.Listener) error {
	over := make(chan error, 1)
	go func() { over <- server.Serve(l) }()
	var failed error
	select {
	case failed = <-over:
	case <-ctx.Done():
		p.note("ending: what was received is answered, then the volume is closed")
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		p.warn("a client did not take its answers within %v and was cut off", leaveTimeout)
	}
	return failed
}

// listener listens where the flags say, and says what clients are to be told.
func (o *serveFlags) listener() (net.Listener, string, error) {
	if o.socket != "" {
		abs, err := filepath.Abs(o.socket)
		if err != nil {
			return nil, "", err
		}
		l, err := localsock.Listen(abs)
		if err != nil {
			return nil, "", fmt.Errorf("--socket: %w", err)
		}
		u := url.URL{Scheme: "nbd+unix", Path: "/" + o.name, RawQuery: "socket=" + url.PathEscape(abs)}
		u.RawQuery = url.Values{"socket": {abs}}.Encode()
		return l, uriText(&u), nil
	}
	at, err := netip.ParseAddrPort(o.listen)
	if err != nil {
		return nil, "", usagef("--listen: %q is not an address with a port, such as 127.0.0.1:10809", o.listen)
	}
	if !at.Addr().IsLoopback() {
		return nil, "", fault.Hint(usagef("--listen: %s can be reached from other machines", at.Addr()), "Use 127.0.0.1 or ::1, and a tunnel to it.")
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, "", fmt.Errorf("--listen: %w", err)
	}
	return l, uriText(&url.URL{Scheme: "nbds", Host: l.Addr().String(), Path: "/" + o.name}), nil
}

// uriText writes a URI so that nbdinfo and its like take it: an empty path is a slash, and slashes of a socket's path stay.
func uriText(u *url.URL) string {
	if socket := u.Query().Get("socket"); socket != "" {
		u.RawQuery = "socket=" + (&url.URL{Path: socket}).EscapedPath()
		return u.Scheme + "://" + (&url.URL{Path: u.Path}).EscapedPath() + "?" + u.RawQuery
	}
	return u.String()
}

// tls loads the certificates; nil without --listen.
func (o *serveFlags) tls() (*tls.Config, error) {
	if o.listen == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, usagef("--tls-cert and --tls-key: %w", err)
	}
	pem, err := os.ReadFile(o.clientCA)
	if err != nil {
		return nil, usagef("--client-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usagef("--client-ca: %s holds no certificate", o.clientCA)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS12}, nil
}

// answer serves VOLUME.ctl for as long as the volume is open. Where the system
// cannot do that safely, it is left out.
func (p *program) answer(s *volume, from *keyFlags) (close func() error, err error) {
	files := make([]string, 0, len(s.keys.files))
	for _, f := range s.keys.files {
		abs, err := filepath.Abs(f.Path())
		if err != nil {
			return nil, err
		}
		files = append(files, abs)
	}
	c, err := control.Serve(s.Store, control.Options{KeyFiles: files, Logger: p.logger(),
		Activate: func(ctx context.Context, id dek.ID) error { return p.activateLater(ctx, s.keys, from, id) }})
	if errors.Is(err, fault.Unsupported) {
		p.note("%s is not served: %s", control.Path(s.Path()), oneLine(err.Error()))
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	return c.Close, nil
}

// activateLater looks into the sources again for a key that is not activated:
// key files are read with what they were opened with, services are asked.
func (p *program) activateLater(ctx context.Context, ks *keys, from *keyFlags, id dek.ID) error {
	if ks.has(id) == nil {
		return nil
	}
	for _, f := range ks.files {
		if err := f.Reload(); err != nil {
			return aboutKeyfile(f.Path(), err)
		}
		k, err := f.Key(id)
		if err != nil {
			continue // it is in another one
		}
		defer k.Destroy()
		return ks.ring.Activate(k, dek.Database, dek.Active)
	}
	again, err := p.keySources(from)
	if err != nil {
		return err
	}
	for _, r := range again.remotes {
		if err := p.activateFrom(ctx, ks, r.name, r.source); err != nil {
			return aboutSource(r.name, err)
		}
	}
	return fault.Hint(ks.has(id), "The process that serves the volume reads its own key files and services: put the key there.")
}
