package nbd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

// Options of a server. The zero value is ready to use on a unix socket.
type Options struct {
	// Name of the export beside the empty one; at most 4,096 bytes.
	Name string
	// Description that clients may ask for; at most 4,096 bytes.
	Description string
	// TLS, where set, is demanded of every client before anything else is said. It
	// must demand and verify client certificates. Listeners on a network need it.
	TLS *tls.Config
	// MaxConnections at a time; more are closed at once. 0 is 16.
	MaxConnections int
	// MaxRequests of a connection that are worked on at a time; 0 is 64. The memory for their
	// data is bounded too, to 32 MiB a connection.
	MaxRequests int
	// HandshakeTimeout bounds the time from a connection to its first request; 0 is 30 seconds.
	HandshakeTimeout time.Duration
	// Grace is how long Shutdown waits for clients to leave by themselves, who are told ESHUTDOWN; 0 is a second.
	Grace time.Duration
	// Logger takes failed requests and refused clients; nil discards them. No data reaches it.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxConnections == 0 {
		o.MaxConnections = 16
	}
	if o.MaxRequests == 0 {
		o.MaxRequests = 64
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 30 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConnections < 0 || o.MaxRequests < 0 || o.HandshakeTimeout < 0 || o.Grace < 0 {
		return o, fmt.Errorf("nbd: a negative bound in the options: %w", fault.Usage)
	}
	if len(o.Name) > maxString || len(o.Description) > maxString {
		return o, fmt.Errorf("nbd: a name or description of more than %d bytes: %w", maxString, fault.Usage)
	}
	if o.TLS != nil {
		if o.TLS.ClientAuth != tls.RequireAndVerifyClientCert || o.TLS.ClientCAs == nil {
			return o, fmt.Errorf("nbd: TLS without verified client certificates lets everybody in: %w", fault.Usage)
		}
		o.TLS = o.TLS.Clone()
		o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	}
	return o, nil
}

// Server serves one device. Create it with [NewServer].
type Server struct {
	dev  Device
	opts Options

	mu        sync.Mutex // guards the rest
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	done      sync.WaitGroup // of conns
}

// NewServer returns a server for a device, which serves nobody yet.
func NewServer(dev Device, o Options) (*Server, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if bs := dev.BlockSize(); bs < 512 || bs > maxPayload || bs&(bs-1) != 0 {
		return nil, fmt.Errorf("nbd: a block size of %d is not a power of two from 512 to %d: %w", bs, maxPayload, fault.Usage)
	}
	return &Server{dev: dev, opts: opts, listeners: make(map[net.Listener]struct{}), conns: make(map[*conn]struct{})}, nil
}

// Serve accepts connections until the server is shut down, and returns
// [ErrClosed] then. It closes l. A listener that is no unix socket is refused
// where the server has no TLS. Several listeners may be served at a time.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }() // Shutdown may have
	if network := l.Addr().Network(); s.opts.TLS == nil && !strings.HasPrefix(network, "unix") {
		return fmt.Errorf("nbd: a %s listener without TLS: %w", network, fault.Usage)
	}
	if !s.add(l) {
		return ErrClosed
	}
	defer s.remove(l)
	for delay := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.start(c)
		case s.isClosed():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("nbd: accept: %w", err)
		default: // no more file descriptors, for one: that passes
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.opts.Logger.Warn("nbd: accept", "cause", err, "again_in", delay)
			time.Sleep(delay)
		}
	}
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) remove(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// start serves a connection on a goroutine of its own, if there is room.
func (s *Server) start(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	room := !s.closed && len(s.conns) < s.opts.MaxConnections
	if room {
		s.conns[c] = struct{}{}
		s.done.Add(1)
	}
	s.mu.Unlock()
	if !room {
		s.opts.Logger.Warn("nbd: a connection too many was closed", "most", s.opts.MaxConnections)
		_ = nc.Close() // nobody is told more
		return
	}
	go func() {
		defer s.done.Done()
		c.serve()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}()
}

// Shutdown stops accepting, lets what was received be answered, gives clients
// Options.Grace to leave, and closes their connections. When ctx ends before
// that, they are closed at once; requests under way still come to their end, since
// the device is in use until then. It returns when nobody uses the device any more.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close() // Serve returns
	}
	deadline := time.Now().Add(s.opts.Grace)
	for c := range s.conns {
		c.refuseMore()
	}
	for c := range s.conns { // only now does a client notice anything
		c.leaveBy(deadline)
	}
	s.mu.Unlock()
	over := make(chan struct{})
	go func() { s.done.Wait(); close(over) }()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.close() // what is under way ends, and its answer is lost
	}
	s.mu.Unlock()
	<-over
	return fmt.Errorf("nbd: shutdown: %w", context.Cause(ctx))
}
