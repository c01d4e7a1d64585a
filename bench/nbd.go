package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/nbdclient"
	"github.com/cofferdb/coffer/nbd"
)

// NBDOptions of a run. The zero value is the default run.
type NBDOptions struct {
	// Dir is where the files are made, some 1 GB for the default run; "" is the system's folder for temporary files.
	Dir string
	// Only measures the workloads named: see NBDWorkloads. nil is all.
	Only []string
	// Scale divides size and durations, for tests; 0 is 1.
	Scale int
	// Rounds is how often both sides are measured, in turn; 0 is 5.
	Rounds int
	// Progress, if not nil, is told what is measured.
	Progress func(what string)
}

// An NBDReport is the result of a run.
type NBDReport struct {
	Results []NBDResult `json:"results"`
}

// An NBDResult compares a volume with a plain file behind the same server: the
// time of an operation, the medians over the rounds.
type NBDResult struct {
	Name   string  `json:"name"`
	Coffer float64 `json:"coffer"`
	Plain  float64 `json:"plain"`
	Unit   string  `json:"unit"`
	Ratio  float64 `json:"ratio"` // Coffer over Plain: below 1 is faster
	Low    float64 `json:"low"`   // lowest ratio of a round
	High   float64 `json:"high"`  // highest ratio of a round
	Note   string  `json:"note"`  // what an operation is
}

// NBDWorkloads lists what NBD measures.
func NBDWorkloads() []string {
	var names []string
	for _, w := range nbdWorkloads {
		names = append(names, w.name)
	}
	return names
}

// nbdRun is one run of NBD.
type nbdRun struct {
	o     NBDOptions
	dir   string
	size  int64
	sides [2]*nbdSide // the volume, the plain file
}

// NBD measures a volume served as a block device beside a plain file behind the
// same server and client, in turn. It writes and removes files in o.Dir.
func NBD(ctx context.Context, o NBDOptions) (_ *NBDReport, err error) {
	for _, name := range o.Only {
		if !slices.Contains(NBDWorkloads(), name) {
			return nil, fault.Hint(fmt.Errorf("bench: no workload %q: %w", name, fault.Usage), fmt.Sprintf("There are %v.", NBDWorkloads()))
		}
	}
	if o.Scale == 0 {
		o.Scale = 1
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Scale < 0 || o.Rounds < 0 {
		return nil, fmt.Errorf("bench: a negative scale or number of rounds: %w", fault.Usage)
	}
	dir, err := os.MkdirTemp(o.Dir, "coffer-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &nbdRun{o: o, dir: dir, size: max(256<<20/int64(o.Scale), 4<<20)}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(ctx); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return r.measure(ctx)
}

func (r *nbdRun) progress(format string, args ...any) {
	if r.o.Progress != nil {
		r.o.Progress(fmt.Sprintf(format, args...))
	}
}

// open makes both sides, of random bytes.
func (r *nbdRun) open(ctx context.Context) error {
	r.progress("writing a volume and a file of %d MiB", r.size>>20)
	ring, ids, err := newRing(1)
	if err != nil {
		return err
	}
	s, err := blockstore.Create(filepath.Join(r.dir, "volume"), ring, blockstore.CreateOptions{Size: r.size, BlockSize: 4096, Key: ids[0]})
	if err != nil {
		return err
	}
	if r.sides[0], err = newNBDSide(nbd.Volume(s), s.Close, filepath.Join(r.dir, "v.sock")); err != nil {
		return err
	}
	f, err := fsx.OS().Open(filepath.Join(r.dir, "plain"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Allocate(0, r.size); err != nil {
		return errors.Join(err, f.Close())
	}
	if r.sides[1], err = newNBDSide(&plainDevice{f, r.size}, f.Close, filepath.Join(r.dir, "p.sock")); err != nil {
		return err
	}
	for _, side := range r.sides {
		if err := side.fill(ctx, r.size); err != nil {
			return err
		}
	}
	return s.Checkpoint(ctx)
}

func (r *nbdRun) close() (err error) {
	for _, side := range r.sides {
		if side != nil {
			err = errors.Join(err, side.close())
		}
	}
	return err
}

// nbdSide is a device behind a server, with a client.
type nbdSide struct {
	dev    nbd.Device
	done   func() error // closes what is behind the device
	server *nbd.Server
	over   chan error
	client *nbdclient.Client
}

func newNBDSide(d nbd.Device, done func() error, socket string) (_ *nbdSide, err error) {
	s := &nbdSide{dev: d, done: done, over: make(chan error, 1)}
	if s.server, err = nbd.NewServer(d, nbd.Options{}); err != nil {
		return nil, errors.Join(err, done())
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	go func() { s.over <- s.server.Serve(l) }()
	if s.client, err = nbdclient.Dial("unix", socket, nbdclient.Options{Structured: true}); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *nbdSide) close() error {
	var err error
	if s.client != nil {
		err = s.client.Disconnect()
	}
	err = errors.Join(err, s.server.Shutdown(context.Background()))
	if e := <-s.over; !errors.Is(e, nbd.ErrClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, s.done())
}

// plainDevice is a plain file as a device.
type plainDevice struct {
	f    fsx.File
	size int64
}

var _ nbd.Device = (*plainDevice)(nil)

func (d *plainDevice) Size() int64                             { return d.size }
func (d *plainDevice) BlockSize() int                          { return 4096 }
func (d *plainDevice) ReadOnly() bool                          { return false }
func (d *plainDevice) ReadAt(p []byte, off int64) (int, error) { return d.f.ReadAt(p, off) }
func (d *plainDevice) Flush() error                            { return d.f.SyncData() }

func (d *plainDevice) WriteAt(p []byte, off int64, durable bool) error {
	if _, err := d.f.WriteAt(p, off); err != nil || !durable {
		return err
	}
	return d.f.SyncData()
}

func (d *plainDevice) Zero(off, n int64, _, durable bool) error {
	return d.WriteAt(make([]byte, n), off, durable)
}
