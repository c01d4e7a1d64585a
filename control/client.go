package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/localsock"
)

// Client asks the process that has a volume open. Its methods are called one at
// a time. Where ctx ends, what was asked for is stopped, and the answer to that waited for.
type Client struct {
	// Owner is what the process said of itself.
	Owner Hello

	nc net.Conn
	in *json.Decoder
}

// Dial connects to the process that has the volume at path open. Where nobody
// answers, the error is [ErrNobody]; where somebody else's process does, [ErrStranger].
func Dial(ctx context.Context, path string) (_ *Client, err error) {
	path = fsx.Resolve(fsx.OS(), path)
	var trusted []int
	if uid, ok := localsock.Owner(path); ok {
		trusted = append(trusted, uid)
	}
	nc, err := localsock.Dial(ctx, Path(path), trusted...)
	if err != nil {
		if localsock.Nobody(err) {
			err = fmt.Errorf("%w: %w", ErrNobody, err)
		}
		return nil, fmt.Errorf("control: %w", err)
	}
	c := &Client{nc: nc, in: json.NewDecoder(nc)}
	if err := c.greet(ctx); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return c, nil
}

// greetTimeout is how long an owner may take to say who it is.
const greetTimeout = 10 * time.Second

func (c *Client) greet(ctx context.Context) error {
	deadline := time.Now().Add(greetTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return err
	}
	var r reply
	switch err := c.in.Decode(&r); {
	case errors.Is(err, io.EOF): // it is ending, or has too many clients
		return fmt.Errorf("control: the process that has the volume open does not answer: %w", fault.InUse)
	case err != nil:
		return fmt.Errorf("control: %w", err)
	case r.Hello == nil || r.Hello.Version != version:
		return fmt.Errorf("control: the process that has the volume open speaks another version of the protocol: %w", fault.Version)
	}
	c.Owner = *r.Hello
	return c.nc.SetReadDeadline(time.Time{})
}

// Close ends the connection.
func (c *Client) Close() error { return c.nc.Close() }

// Info returns what the volume is at this moment.
func (c *Client) Info(ctx context.Context) (*blockstore.Info, error) {
	return ask[blockstore.Info](ctx, c, &request{Command: cmdInfo}, nil)
}

// CountKeys counts what needs each key.
func (c *Client) CountKeys(ctx context.Context) (*blockstore.KeyCensus, error) {
	return ask[blockstore.KeyCensus](ctx, c, &request{Command: cmdKeys}, nil)
}

// Anchor returns the anchor of the durable head.
func (c *Client) Anchor(ctx context.Context) (blockstore.Anchor, error) {
	a, err := ask[blockstore.Anchor](ctx, c, &request{Command: cmdAnchor}, nil)
	if err != nil {
		return blockstore.Anchor{}, err
	}
	return *a, nil
}

// Verify checks everything, with the owner's keys. A report that names problems comes with their error.
func (c *Client) Verify(ctx context.Context, workers int, progress func(Progress)) (*blockstore.Report, error) {
	return ask[blockstore.Report](ctx, c, &request{Command: cmdVerify, Workers: workers}, progress)
}

// Backup has the owner write a backup into a new file, under its rights. The error may come with a backup that
// is whole: see [blockstore.ErrUnrecorded].
func (c *Client) Backup(ctx context.Context, b Backup, progress func(Progress)) (*blockstore.BackupInfo, error) {
	return ask[blockstore.BackupInfo](ctx, c, &request{Command: cmdBackup, Backup: &b}, progress)
}

// Rekey puts the volume and its journal under another key.
func (c *Client) Rekey(ctx context.Context, r Rekey, progress func(Progress)) (*Converted, error) {
	return ask[Converted](ctx, c, &request{Command: cmdRekey, Rekey: &r}, progress)
}

// ask sends a request and reads its answer.
func ask[T any](ctx context.Context, c *Client, r *request, progress func(Progress)) (*T, error) {
	r.Version = version
	if err := r.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := c.nc.Write(append(b, '\n')); err != nil {
		return nil, c.gone(err)
	}
	// The owner takes the end of the connection for a wish to stop, and still answers.
	defer context.AfterFunc(ctx, func() {
		if w, ok := c.nc.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
	})()
	for {
		var line reply
		if err := c.in.Decode(&line); err != nil {
			return nil, errors.Join(ctx.Err(), c.gone(err))
		}
		if line.Progress != nil && progress != nil {
			progress(*line.Progress)
		}
		if !line.Done {
			continue
		}
		var result *T
		if line.Result != nil {
			result = new(T)
			if err := json.Unmarshal(line.Result, result); err != nil {
				return nil, fmt.Errorf("control: the answer: %w", err)
			}
		}
		if err := line.Error.err(); err != nil || result != nil {
			return result, err
		}
		return nil, errors.New("control: an answer without a result")
	}
}

// gone is the error of a connection that ended before the answer.
func (c *Client) gone(err error) error {
	return fault.Hint(fmt.Errorf("control: the process that has the volume open (PID %d) went away before it answered: %w", c.Owner.PID, err),
		"What was asked for may be done, in part or not at all: see coffer info, and run the command again.")
}
