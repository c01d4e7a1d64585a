package kmip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
)

// Source fetches keys from one server, for a keyring. It connects for every
// call of [Source.Keys] and keeps nothing but the keys' modes.
type Source struct {
	// Server is the configuration.
	Server Server
	// IDs are the keys to fetch, GUIDs or the server's identifiers; none means
	// those that the configuration saves. None there either is [ErrUsage]: never
	// every key that a server has.
	IDs []string
	// ForWriting refuses keys that may not encrypt new data, with what they are.
	ForWriting bool
	// Options are for connecting.
	Options *Options

	mu    sync.Mutex // guards modes
	modes map[dek.ID]dek.Mode
}

var _ dek.ModeSource = (*Source)(nil)

// Away says whether an error means that the server could not be asked, as
// opposed to one that answered, or that is not the right one: for callers that
// have another copy of a key for outages. Of several addresses not one may have
// answered: the word of one that said no stands.
func Away(err error) bool {
	var several *severalError
	if errors.As(err, &several) {
		return !slices.ContainsFunc(several.all, func(err error) bool { return !Away(err) })
	}
	return errors.Is(err, ErrUnreachable)
}

// Keys fetches the keys, in the order of IDs. They belong to the caller, who
// destroys them. With an error there are none.
func (s *Source) Keys(ctx context.Context) ([]*dek.Key, error) {
	ids := s.IDs
	if len(ids) == 0 {
		ids = s.Server.Keys
	}
	if len(ids) == 0 {
		return nil, fault.Hint(usage("server %s: no key was named", s.Server.Name),
			"Give --kmip-key ID, or save keys: coffer kmip server edit --save-key ID.")
	}
	c, err := Dial(ctx, s.Server, s.Options)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // it was only asked
	var keys []*dek.Key
	modes := map[dek.ID]dek.Mode{}
	for _, id := range ids {
		k, mode, err := s.fetch(ctx, c, id)
		if err != nil {
			wipeAll(keys)
			return nil, err
		}
		if modes[k.ID()] != 0 { // named twice
			k.Destroy()
			continue
		}
		keys = append(keys, k)
		modes[k.ID()] = mode
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes = modes
	return keys, nil
}

func (s *Source) fetch(ctx context.Context, c *Client, id string) (*dek.Key, dek.Mode, error) {
	info, err := c.Find(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if err := info.Writable(); err != nil && s.ForWriting {
		return nil, 0, fmt.Errorf("server %s: %w", s.Server.Name, err)
	} else if err != nil && info.Usable() == nil {
		c.d.opts.Log.Warn(strings.TrimPrefix(err.Error(), "kmip: "))
	}
	k, info, err := c.Get(ctx, info.ID)
	if err != nil {
		return nil, 0, err
	}
	mode := info.State.Mode()
	if mode == 0 {
		mode = dek.DecryptOnly // the server does not say: nothing new under it
	}
	return k, mode, nil
}

// Mode returns what a key that Keys returned last may do, by its state on the
// server then; [dek.DecryptOnly] for any other key.
func (s *Source) Mode(id dek.ID) dek.Mode {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.modes[id]; m.Valid() {
		return m
	}
	return dek.DecryptOnly
}
