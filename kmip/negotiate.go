package kmip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ovh/kmip-go"

	"github.com/cofferdb/coffer/internal/fault"
)

// asking are the versions in which the server is asked for its versions, until
// it answers one: most servers take any header for that, some only their own.
var asking = []Version{V14, V21, V20, V11}

// negotiate settles the version: the pinned one, if the server does not say that
// it lacks it, or the highest in common.
func (c *Client) negotiate(ctx context.Context) error {
	pinned := c.d.server.Version
	if pinned == V10 { // has no way to ask
		c.version = V10
		return nil
	}
	offered, err := c.discover(ctx, pinned)
	if err != nil {
		c.d.opts.step(StepVersion, "", err)
		return err
	}
	if offered != nil {
		c.d.opts.step(StepVersion, "offered: "+names(offered), nil)
	}
	c.offered = offered
	switch {
	case pinned == Version{}:
		for _, v := range versions {
			if slices.Contains(offered, v) {
				c.version = v
				return nil
			}
		}
		return c.noVersion("none in common", offered)
	case offered != nil && !slices.Contains(offered, pinned):
		return c.noVersion(fmt.Sprintf("the server does not offer %s", pinned), offered)
	}
	c.version = pinned
	return nil
}

func (c *Client) noVersion(what string, offered []Version) error {
	err := c.error("", StepVersion, ErrVersion, fmt.Errorf("%s; it offers %s", what, names(offered)))
	return fault.Hint(err, "Set one that it offers: coffer kmip server edit --version.")
}

func names(vs []Version) string {
	if len(vs) == 0 {
		return "no version that is spoken here"
	}
	texts := make([]string, len(vs))
	for i, v := range vs {
		texts[i] = v.String()
	}
	return strings.Join(texts, ", ")
}

// discover asks the server for its versions. nil without an error: it does not
// say, and speaks the pinned version as far as anyone knows.
func (c *Client) discover(ctx context.Context, pinned Version) ([]Version, error) {
	try := asking
	if pinned != (Version{}) {
		try = append([]Version{pinned}, asking...) // where that is refused, others get a list out of it
	}
	var last error
	for _, v := range try {
		ask := request{op: kmip.OperationDiscoverVersions, payload: dialect.discover}
		answer, err := c.roundTrip(ctx, ask, v)
		if err != nil {
			return nil, err
		}
		if answer.status != kmip.ResultStatusSuccess {
			last = c.refused(ask, answer)
			if errors.Is(last, ErrDenied) || errors.Is(last, ErrProtocol) {
				return nil, last
			}
			continue
		}
		offered, ok := dialectOf(v).discovered(answer.payload)
		if !ok {
			return nil, c.improper(kmip.OperationDiscoverVersions, errors.New("no list of versions"))
		}
		if offered == nil {
			offered = []Version{}
		}
		return offered, nil
	}
	if errors.Is(last, ErrUnsupported) { // 1.0 has no DiscoverVersions
		if pinned != (Version{}) {
			return nil, nil
		}
		return []Version{V10}, nil
	}
	var said *resultError
	if errors.As(last, &said) {
		last = said // the rest is said around it
	}
	return nil, fault.Hint(c.error("", StepVersion, ErrVersion, last), "Set a version that the server speaks: coffer kmip server edit --version.")
}
