package nbd

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one client.
type conn struct {
	srv *Server
	dev Device

	// What was negotiated; only the goroutine that reads changes it, before transmission.
	noZeroes   bool
	secure     bool
	structured bool
	context    *string // export for which base:allocation was selected
	export     string

	mu       sync.Mutex // guards nc, which only STARTTLS changes, its read deadline, and what follows
	nc       net.Conn
	serving  bool // the transmission phase has begun
	draining bool // the server shuts down

	out      sync.Mutex    // held while a reply is written
	failed   atomic.Uint64 // requests, by the device's fault
	requests *budget
	memory   *budget
	work     sync.WaitGroup // requests under way
}

func newConn(s *Server, nc net.Conn) *conn {
	return &conn{srv: s, dev: s.dev, nc: nc, requests: newBudget(int64(s.opts.MaxRequests)), memory: newBudget(maxPayload)}
}

// serve talks to the client until one of them ends it.
func (c *conn) serve() {
	err := c.talk()
	c.work.Wait() // what was received is answered
	c.close()
	log := c.srv.opts.Logger
	switch {
	case err == nil, errors.Is(err, errLeft), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		log.Debug("nbd: a connection ended")
	case errors.Is(err, os.ErrDeadlineExceeded) && c.isDraining():
		log.Debug("nbd: a connection was closed", "cause", ErrClosed)
	default:
		log.Warn("nbd: a connection was closed", "cause", err)
	}
}

func (c *conn) talk() error {
	if err := c.enter(false, time.Now().Add(c.srv.opts.HandshakeTimeout)); err != nil {
		return err
	}
	if err := c.handshake(); err != nil {
		return err
	}
	if err := c.enter(true, time.Time{}); err != nil {
		return err
	}
	return c.transmit(bufio.NewReaderSize(c.nc, 64<<10))
}

// enter begins the handshake, or the transmission phase, which is to be over by deadline.
func (c *conn) enter(serving bool, deadline time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return net.ErrClosed
	}
	c.serving = serving
	return c.nc.SetDeadline(deadline)
}

// close ends the connection; it may be called again.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.nc.Close() // nothing is left to be sent, or nobody waits for it
}

// refuseMore says that the server shuts down: what is received from now on is refused.
func (c *conn) refuseMore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
}

// leaveBy gives a client until deadline to leave; one that has not begun is cut off.
func (c *conn) leaveBy(deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.serving {
		deadline = time.Now()
	}
	_ = c.nc.SetReadDeadline(deadline) // fails where the connection is closed
}

func (c *conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// send writes a reply in one piece.
func (c *conn) send(b []byte) {
	c.out.Lock()
	defer c.out.Unlock()
	if _, err := c.nc.Write(b); err != nil {
		c.close() // half a reply may be out: the reader ends, too
	}
}
