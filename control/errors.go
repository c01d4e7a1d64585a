package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/localsock"
)

// Errors of this package.
var (
	// ErrNobody: no process answers for the volume.
	ErrNobody = errors.New("control: no running process answers for the volume")
	// ErrStranger: the process that answers belongs to a user who is not believed.
	ErrStranger = localsock.ErrPeer
	// ErrRequest: the request is none that this version knows.
	ErrRequest = fmt.Errorf("control: not a request: %w", fault.Usage)
)

// markers are the errors that keep their identity on the way, by name.
var markers = []struct {
	name string
	err  error
}{
	{"altered", fault.Tampered}, {"damaged", fault.Damaged}, {"wrong-key", fault.WrongKey}, {"not-activated", fault.NotActivated},
	{"version", fault.Version}, {"in-use", fault.InUse}, {"state", fault.State}, {"usage", fault.Usage}, {"format", fault.NotFormat},
	{"unsupported", fault.Unsupported}, {"outcome-unknown", fault.OutcomeUnknown}, {"too-old", fault.TooOld},
	{"unrecorded", blockstore.ErrUnrecorded}, {"lost", blockstore.ErrLost}, {"closed", blockstore.ErrClosed},
	{"exists", fs.ErrExist}, {"not-there", fs.ErrNotExist}, {"permission", fs.ErrPermission}, {"no-space", syscall.ENOSPC},
	{"canceled", context.Canceled},
}

// wireError is an error on its way.
type wireError struct {
	Text    string   `json:"text"`
	Hint    string   `json:"hint,omitempty"`
	Markers []string `json:"markers,omitempty"`
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error(), Hint: fault.HintOf(err)}
	for _, m := range markers {
		if errors.Is(err, m.err) {
			w.Markers = append(w.Markers, m.name)
		}
	}
	return w
}

// remote is an error that the owner of the volume answered with.
type remote struct {
	text string
	is   []error
}

func (r *remote) Error() string   { return r.text }
func (r *remote) Unwrap() []error { return r.is }

func (w *wireError) err() error {
	if w == nil {
		return nil
	}
	r := &remote{text: w.Text}
	for _, name := range w.Markers {
		for _, m := range markers {
			if m.name == name {
				r.is = append(r.is, m.err)
			}
		}
	}
	if w.Hint != "" {
		return fault.Hint(r, w.Hint)
	}
	return r
}
