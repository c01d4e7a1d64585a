package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// version of the protocol; both sides are of one release, so there is one.
const version = 1

// maxRequest bounds the line of a request, in bytes.
const maxRequest = 64 << 10

// commands that a client may send.
const (
	cmdInfo   = "info"
	cmdKeys   = "keys"
	cmdAnchor = "anchor"
	cmdVerify = "verify"
	cmdBackup = "backup"
	cmdRekey  = "rekey"
)

// Rekey is what a re-key is to do. Fields are as of [blockstore.Conversion].
type Rekey struct {
	Key            dek.ID  `json:"key"`
	Suite          string  `json:"suite,omitempty"` // "" keeps it; never none
	Workers        int     `json:"workers,omitempty"`
	AcceptLoss     bool    `json:"accept_loss,omitempty"`
	Back           bool    `json:"back,omitempty"`
	Purge          bool    `json:"purge,omitempty"`
	BytesPerSecond int64   `json:"bytes_per_second,omitempty"`
	Share          float64 `json:"share,omitempty"`
}

// Backup is what a backup is to be. Paths are absolute, as the owner of the volume sees them.
type Backup struct {
	Destination string `json:"destination"`
	Base        string `json:"base,omitempty"`
}

func (b *Backup) check() error {
	if !filepath.IsAbs(b.Destination) || b.Base != "" && !filepath.IsAbs(b.Base) {
		return fmt.Errorf("%w: paths of backups are absolute", ErrRequest)
	}
	return nil
}

// request is one line from a client.
type request struct {
	Version int     `json:"version"`
	Command string  `json:"command"`
	Workers int     `json:"workers,omitempty"` // of verify
	Backup  *Backup `json:"backup,omitempty"`
	Rekey   *Rekey  `json:"rekey,omitempty"`
}

// parseRequest reads one line, strictly: what is not known here is not passed over.
func parseRequest(line []byte) (*request, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	r := new(request)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: something follows it", ErrRequest)
	}
	return r, r.check()
}

func (r *request) check() error {
	switch {
	case r.Version != version:
		return fault.Hint(fmt.Errorf("%w: version %d, this is %d", ErrRequest, r.Version, version), "Use one version of Coffer on both sides.")
	case (r.Backup != nil) != (r.Command == cmdBackup), (r.Rekey != nil) != (r.Command == cmdRekey), r.Workers != 0 && r.Command != cmdVerify:
		return fmt.Errorf("%w: what belongs to another command, or is missing", ErrRequest)
	case r.Workers < 0 || r.Workers > maxWorkers:
		return fmt.Errorf("%w: %d workers", ErrRequest, r.Workers)
	}
	switch r.Command {
	case cmdInfo, cmdKeys, cmdAnchor, cmdVerify:
		return nil
	case cmdBackup:
		return r.Backup.check()
	case cmdRekey:
		_, err := r.Rekey.conversion()
		return err
	}
	return fmt.Errorf("%w: unknown command", ErrRequest)
}

const maxWorkers = 1024

// conversion turns a re-key into what the engine is asked for.
func (r *Rekey) conversion() (c blockstore.Conversion, err error) {
	c = blockstore.Conversion{Key: r.Key, Workers: r.Workers, AcceptLoss: r.AcceptLoss, Back: r.Back, Purge: r.Purge,
		Pace: blockstore.Pace{BytesPerSecond: r.BytesPerSecond, Share: r.Share}}
	if r.Suite != "" {
		if c.Suite, err = blockstore.ParseSuite(r.Suite); err != nil {
			return c, fmt.Errorf("%w: %w", ErrRequest, err)
		}
	}
	switch {
	case r.Key.IsZero():
		return c, fmt.Errorf("%w: a re-key to no key", ErrRequest)
	case c.Suite == blockstore.None: // who may connect may not weaken
		return c, fmt.Errorf("%w: a re-key does not take encryption away", ErrRequest)
	case r.Workers < 0 || r.Workers > maxWorkers:
		return c, fmt.Errorf("%w: %d workers", ErrRequest, r.Workers)
	}
	return c, nil
}

// Progress of what was asked for.
type Progress struct {
	Stage          string  `json:"stage"` // verify, back up or rekey
	Done           uint64  `json:"done"`  // blocks
	Total          uint64  `json:"total"`
	BytesPerSecond float64 `json:"bytes_per_second,omitempty"`
	// Remaining is [blockstore.Progress]'s estimate for a re-key, in nanoseconds.
	Remaining time.Duration `json:"remaining,omitempty"`
}

// reply is one line to a client.
type reply struct {
	Hello    *Hello          `json:"hello,omitempty"`
	Progress *Progress       `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *wireError      `json:"error,omitempty"`
	Done     bool            `json:"done,omitempty"` // the last line of an answer; Result and Error may both be set
}

// Hello is what the owner of a volume says of itself.
type Hello struct {
	Version  int             `json:"version"`
	Volume   blockstore.UUID `json:"volume"`
	Suite    string          `json:"suite"`
	PID      int             `json:"pid"`
	Reloads  bool            `json:"reloads"`            // it looks into its sources for keys it has not activated
	KeyFiles []string        `json:"keyfiles,omitempty"` // of those, the key files it reads
}

// Converted is the result of a re-key.
type Converted struct {
	blockstore.Result
	// Already: the volume was under that key and suite, and nothing had to be converted.
	Already bool `json:"already"`
	// Resumed: the volume had recorded it, or the way back, as unfinished.
	Resumed bool `json:"resumed"`
	// Old is the key that it went away from.
	Old dek.ID `json:"old"`
	// Info is what the volume is now.
	Info *blockstore.Info `json:"info"`
	// Census counts what needs which key after a purge; nil without one.
	Census *blockstore.KeyCensus `json:"census,omitempty"`
}
