package nbdclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Flags of commands.
const (
	FUA      = 1 << 0
	NoHole   = 1 << 1
	DF       = 1 << 2
	ReqOne   = 1 << 3
	FastZero = 1 << 4
)

// Commands, for [Client.Do].
const (
	Read = iota
	Write
	disc
	Flush
	Trim
	Cache
	WriteZeroes
	BlockStatus
)

// Errno is an error that the server answered with.
type Errno uint32

func (e Errno) Error() string {
	return fmt.Sprintf("nbdclient: the server answers with error %d", uint32(e))
}

// ErrGone: the connection ended before the answer.
var ErrGone = errors.New("nbdclient: the connection is gone")

// Extent is a part of the export.
type Extent struct {
	Length uint32
	State  uint32 // 3: a hole that reads as zeros
}

// call is a request that waits for its answer.
type call struct {
	cmd     uint16
	off     uint64
	buf     []byte // of a read
	got     int
	extents []Extent
	err     error
	text    string // of an error
	done    chan struct{}
}

// Client is a connection in the transmission phase.
type Client struct {
	Info
	structured bool
	nc         net.Conn

	out sync.Mutex // held while a request is written

	mu      sync.Mutex // guards the rest
	next    uint64
	waiting map[uint64]*call
	gone    error
}

func newClient(nc net.Conn, structured bool, info Info) *Client {
	c := &Client{Info: info, structured: structured, nc: nc, waiting: make(map[uint64]*call)}
	go c.listen()
	return c
}

// Do sends any request and waits for its answer: data is what a write carries and where a read goes.
func (c *Client) Do(cmd, flags uint16, off uint64, n uint32, data []byte) ([]Extent, error) {
	k := &call{cmd: cmd, off: off, done: make(chan struct{})}
	if cmd == Read {
		k.buf = data
	}
	c.mu.Lock()
	if c.gone != nil {
		defer c.mu.Unlock()
		return nil, c.gone
	}
	c.next++
	cookie := c.next
	c.waiting[cookie] = k
	c.mu.Unlock()
	b := be.AppendUint32(nil, 0x25609513)
	b = be.AppendUint16(be.AppendUint16(b, flags), cmd)
	b = be.AppendUint32(be.AppendUint64(be.AppendUint64(b, cookie), off), n)
	c.out.Lock()
	_, err := c.nc.Write(b)
	if err == nil && cmd == Write {
		_, err = c.nc.Write(data)
	}
	c.out.Unlock()
	if err != nil {
		c.end(err)
	}
	<-k.done
	return k.extents, k.err
}

// ReadAt implements [io.ReaderAt] within the export.
func (c *Client) ReadAt(p []byte, off int64) (int, error) {
	if _, err := c.Do(Read, 0, uint64(off), uint32(len(p)), p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes with the flags given.
func (c *Client) WriteAt(p []byte, off int64, flags uint16) error {
	_, err := c.Do(Write, flags, uint64(off), uint32(len(p)), p)
	return err
}

// Flush makes durable what was answered.
func (c *Client) Flush() error {
	_, err := c.Do(Flush, 0, 0, 0, nil)
	return err
}

// Disconnect says good-bye and waits until the server has closed the connection.
func (c *Client) Disconnect() error {
	b := make([]byte, 28)
	be.PutUint32(b, 0x25609513)
	be.PutUint16(b[6:], disc)
	c.out.Lock()
	_, err := c.nc.Write(b)
	c.out.Unlock()
	c.Wait() // listen closes it
	return err
}

// Wait waits until the connection has ended.
func (c *Client) Wait() {
	k := &call{done: make(chan struct{})}
	c.mu.Lock()
	if c.gone != nil {
		c.mu.Unlock()
		return
	}
	c.waiting[0] = k
	c.mu.Unlock()
	<-k.done
}

// Close drops the connection.
func (c *Client) Close() error { return c.nc.Close() }

func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = fmt.Errorf("%w: %w", ErrGone, err)
	}
	for cookie, k := range c.waiting {
		delete(c.waiting, cookie)
		k.err = c.gone
		close(k.done)
	}
}

func (c *Client) listen() {
	in := bufio.NewReaderSize(c.nc, 64<<10)
	for {
		if err := c.answer(in); err != nil {
			c.end(err)
			_ = c.nc.Close()
			return
		}
	}
}

func (c *Client) find(cookie uint64, done bool) (*call, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.waiting[cookie]
	if k == nil || cookie == 0 {
		return nil, fmt.Errorf("nbdclient: an answer to nothing, cookie %d", cookie)
	}
	if done {
		delete(c.waiting, cookie)
	}
	return k, nil
}

// answer reads one simple reply, or one chunk of a structured one.
func (c *Client) answer(in *bufio.Reader) error {
	var b [20]byte
	if _, err := io.ReadFull(in, b[:16]); err != nil {
		return err
	}
	switch m := be.Uint32(b[:]); m {
	case 0x67446698:
		k, err := c.find(be.Uint64(b[8:]), true)
		if err != nil {
			return err
		}
		return c.simple(in, k, be.Uint32(b[4:]))
	case 0x668e33ef:
		if _, err := io.ReadFull(in, b[16:]); err != nil {
			return err
		}
		done := be.Uint16(b[4:])&1 != 0
		k, err := c.find(be.Uint64(b[8:]), done)
		if err != nil {
			return err
		}
		if err := k.chunk(in, be.Uint16(b[6:]), int(be.Uint32(b[16:]))); err != nil {
			k.err = errors.Join(k.err, err)
			close(k.done)
			return err
		}
		if done {
			k.finish()
		}
		return nil
	default:
		return fmt.Errorf("nbdclient: an answer begins with %#x", m)
	}
}

func (c *Client) simple(in *bufio.Reader, k *call, e uint32) error {
	defer close(k.done)
	switch {
	case e != 0:
		k.err = Errno(e)
	case c.structured && k.cmd == Read:
		k.err = errors.New("nbdclient: a simple reply to a read")
		return k.err
	case k.cmd == Read:
		if _, err := io.ReadFull(in, k.buf); err != nil {
			k.err = fmt.Errorf("%w: %w", ErrGone, err)
			return err
		}
	}
	return nil
}

// finish ends a structured reply.
func (k *call) finish() {
	if k.err == nil && k.cmd == Read && k.got != len(k.buf) {
		k.err = fmt.Errorf("nbdclient: %d bytes of %d were answered", k.got, len(k.buf))
	}
	close(k.done)
}

// chunk takes one chunk of n bytes.
func (k *call) chunk(in *bufio.Reader, kind uint16, n int) error {
	if kind == 1 && n > 8 { // straight to where it goes
		var off [8]byte
		if _, err := io.ReadFull(in, off[:]); err != nil {
			return err
		}
		at := be.Uint64(off[:]) - k.off
		if k.cmd != Read || at > uint64(len(k.buf)) || uint64(n-8) > uint64(len(k.buf))-at {
			return errors.New("nbdclient: data outside the request")
		}
		k.got += n - 8
		_, err := io.ReadFull(in, k.buf[at:][:n-8])
		return err
	}
	if n > 1<<20 {
		return fmt.Errorf("nbdclient: a chunk of %d bytes", n)
	}
	d := make([]byte, n)
	if _, err := io.ReadFull(in, d); err != nil {
		return err
	}
	switch {
	case kind == 0 && n == 0:
	case kind == 5 && n >= 12 && (n-4)%8 == 0 && be.Uint32(d) == 1:
		for d = d[4:]; len(d) > 0; d = d[8:] {
			k.extents = append(k.extents, Extent{be.Uint32(d), be.Uint32(d[4:])})
		}
	case kind == 1<<15+1 && n >= 6 && int(be.Uint16(d[4:])) == n-6:
		k.err, k.text = Errno(be.Uint32(d)), string(d[6:])
	default:
		return fmt.Errorf("nbdclient: a chunk of kind %d, %d bytes", kind, n)
	}
	return nil
}
