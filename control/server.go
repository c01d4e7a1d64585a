package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/localsock"
)

// Options of a server. The zero value is ready to use.
type Options struct {
	// Activate brings a key into the keyring that the store was opened with, from
	// the program's own sources, which it reads again; nil if it is there already. Without
	// it a re-key goes only to keys that are activated.
	Activate func(ctx context.Context, key dek.ID) error
	// KeyFiles are the key files that Activate reads, as absolute paths, so that who makes
	// a new key can put it where it will be found.
	KeyFiles []string
	// Logger takes what was asked for; nil discards it.
	Logger *slog.Logger
}

// Path returns where the socket of a volume is.
func Path(volume string) string { return volume + ".ctl" }

// maxClients at a time; more are closed at once.
const maxClients = 16

// Server answers for one store. Close it before the store.
type Server struct {
	store *blockstore.Store
	opts  Options
	l     *localsock.Listener
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
	slots chan struct{}
}

// Serve begins to answer on VOLUME.ctl. A store that is read-only is refused
// ([fault.State]): who wants to look can open the volume, too. Where the system
// cannot say whose the other end of a socket is, the error is [fault.Unsupported].
func Serve(s *blockstore.Store, o Options) (*Server, error) {
	if s.ReadOnly() {
		return nil, fmt.Errorf("control: the store is read-only: %w", fault.State)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := localsock.Listen(Path(s.Path()))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	v := &Server{store: s, opts: o, l: l, slots: make(chan struct{}, maxClients)}
	v.ctx, v.stop = context.WithCancel(context.Background())
	v.done.Go(v.accept)
	return v, nil
}

// Close stops what clients asked for, waits for its end and removes the socket.
// A re-key that was stopped can be resumed.
func (v *Server) Close() error {
	v.stop()
	err := v.l.Close()
	v.done.Wait()
	return err
}

func (v *Server) accept() {
	for {
		c, err := v.l.Accept()
		if v.ctx.Err() != nil {
			if err == nil {
				_ = c.Close() // it was too late
			}
			return
		}
		if err != nil {
			v.opts.Logger.Warn("control: accept", "cause", err)
			select { // no more file descriptors, for one: that passes
			case <-v.ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case v.slots <- struct{}{}:
			v.done.Go(func() {
				defer func() { <-v.slots }()
				v.serve(c)
			})
		default:
			_ = c.Close() // one too many
		}
	}
}

// session is one client.
type session struct {
	v        *Server
	ctx      context.Context // ends when the client leaves or the server closes
	nc       net.Conn
	out      sync.Mutex // held while a line is written
	progress atomic.Pointer[Progress]
}

func (v *Server) serve(nc net.Conn) {
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	defer func() { _ = nc.Close() }() // all was said
	// An answer under way is still written when the server closes; nothing more is read.
	defer context.AfterFunc(v.ctx, func() { _ = nc.SetReadDeadline(time.Now()) })()
	c := &session{v: v, ctx: ctx, nc: nc}
	info, err := v.store.Info()
	if err != nil || c.say(&reply{Hello: &Hello{version, info.UUID, info.Suite, os.Getpid(), v.opts.Activate != nil, v.opts.KeyFiles}}) != nil {
		return
	}
	lines := make(chan []byte)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = nc.SetReadDeadline(time.Now()) }()
	reader.Go(func() {
		defer close(lines)
		defer cancel()
		sc := bufio.NewScanner(nc)
		sc.Buffer(nil, maxRequest)
		for sc.Scan() {
			select {
			case lines <- bytes.Clone(sc.Bytes()):
			case <-ctx.Done():
				return
			}
		}
	})
	for line := range lines {
		if c.answer(line) != nil {
			cancel()
			return
		}
	}
}

// say writes one line.
func (c *session) say(r *reply) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.out.Lock()
	defer c.out.Unlock()
	if err := c.nc.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil { // a client that reads nothing holds nobody up
		return err
	}
	_, err = c.nc.Write(append(b, '\n'))
	return err
}

// answer does what one line asks for.
func (c *session) answer(line []byte) error {
	r, err := parseRequest(line)
	if err != nil {
		return c.say(&reply{Error: toWire(err), Done: true})
	}
	begun := time.Now()
	result, err := c.withProgress(r)
	if c.ctx.Err() != nil && c.v.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fault.Hint(err, "The process that has the volume open is ending.")
	}
	c.v.opts.Logger.Debug("control: answered", "command", r.Command, "took", time.Since(begun), "error", err)
	last := &reply{Error: toWire(err), Done: true}
	if result != nil {
		if last.Result, err = json.Marshal(result); err != nil {
			last.Error = toWire(err)
		}
	}
	return c.say(last)
}

// progressEvery is the time between two lines of progress.
const progressEvery = 250 * time.Millisecond

// withProgress does a request and tells its progress meanwhile.
func (c *session) withProgress(r *request) (result any, err error) {
	c.progress.Store(nil)
	stop := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if p := c.progress.Load(); p != nil && c.say(&reply{Progress: p}) != nil {
					return
				}
			}
		}
	})
	defer teller.Wait()
	defer close(stop)
	return c.do(r)
}
