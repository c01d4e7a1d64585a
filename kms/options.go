package kms

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/cofferdb/coffer/internal/fsx"
)

// Defaults of [Options].
const (
	DefaultAttempts = 5
	DefaultTimeout  = 15 * time.Second // az login's helper alone takes seconds
	DefaultDeadline = 45 * time.Second
)

// PrivateCloud is what an Azure that is not Microsoft's needs. None of it is ever
// taken from a KMS key file, because who alters the file could then have tokens
// and keys sent to himself.
type PrivateCloud struct {
	// Authority gives tokens, in place of https://login.microsoftonline.com/.
	Authority string
	// CAFile holds the certificates, in PEM, that are trusted instead of the system's.
	CAFile string
	// SkipResourceCheck does not compare what a vault says it is with its name
	// (azkeys' DisableChallengeResourceVerification).
	SkipResourceCheck bool
	// SkipDiscovery does not ask Microsoft whether Authority is one
	// (azidentity's DisableInstanceDiscovery).
	SkipDiscovery bool
}

// Options are for opening, and part of [CreateOptions]. nil and the zero value
// are usable.
type Options struct {
	// FS holds the file; nil is the operating system.
	FS fsx.FS
	// Providers are the program's own, looked at before the built-in ones.
	Providers []Provider
	// Attempts is how often an operation is tried where trying again can help:
	// 0 is [DefaultAttempts], 1 tries once.
	Attempts int
	// Timeout bounds one attempt; 0 is [DefaultTimeout].
	Timeout time.Duration
	// Deadline bounds an operation with all its attempts and the waiting between
	// them; 0 is [DefaultDeadline].
	Deadline time.Duration
	// Private is for an Azure that is not Microsoft's.
	Private PrivateCloud
	// Logger hears of attempts that failed and are repeated; nil is silent.
	Logger *slog.Logger

	awsCredentials aws.CredentialsProvider // tests bring their own
	getenv         func(string) string
	sleep          func(context.Context, time.Duration) error
	now            func() time.Time
}

// complete returns a checked copy with every default filled in.
func (o *Options) complete() (*Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Attempts < 0 || c.Timeout < 0 || c.Deadline < 0 {
		return nil, usage("attempts and times are not negative")
	}
	if c.FS == nil {
		c.FS = fsx.OS()
	}
	if c.Attempts == 0 {
		c.Attempts = DefaultAttempts
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Deadline == 0 {
		c.Deadline = DefaultDeadline
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.getenv == nil {
		c.getenv = os.Getenv
	}
	if c.sleep == nil {
		c.sleep = wait
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.Private.Authority != "" {
		if _, err := checkURL("the authority", c.Private.Authority); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// wait sleeps unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
