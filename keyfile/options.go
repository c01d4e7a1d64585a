package keyfile

import (
	"time"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
)

// Credentials are an administrator's name, in any case, and password. Neither
// is kept; wiping Password afterwards is the caller's affair.
type Credentials struct {
	Admin    string
	Password []byte
}

// String hides the password.
func (c Credentials) String() string { return "keyfile.Credentials(" + c.Admin + ")" }

// GoString hides the password.
func (c Credentials) GoString() string { return c.String() }

// Options are for opening. nil and the zero value are usable.
type Options struct {
	// FS holds the file; nil is the operating system.
	FS fsx.FS
	// Iterations is the work factor of administrators added, and of passwords
	// changed, by this File: [MinIterations] to [MaxIterations]. 0 is
	// [DefaultIterations], or for a password change the former factor where that is higher.
	Iterations int
	// Policy is asked of new passwords.
	Policy Policy
	// LockWait is how long a change waits for another process to finish its
	// own; 0 is [DefaultLockWait], and a negative time does not wait at all.
	LockWait time.Duration
	// NeededBy names what the program knows to need a key, volumes above all;
	// such a key is not deleted. dek.Keyring.Holders fits. nil: nothing is known.
	NeededBy func(id dek.ID) []string

	derive deriver          // tests remember results
	now    func() time.Time // tests stop the clock
}

// DefaultLockWait is how long a change waits for the file's lock.
const DefaultLockWait = 10 * time.Second

// complete returns a checked copy with every default filled in.
func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if err := checkIterations(c.Iterations); err != nil {
		return c, err
	}
	if c.FS == nil {
		c.FS = fsx.OS()
	}
	if c.LockWait == 0 {
		c.LockWait = DefaultLockWait
	}
	if c.derive == nil {
		c.derive = principalKey
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

func checkIterations(n int) error {
	if n != 0 && (n < MinIterations || n > MaxIterations) {
		return usage("%d iterations; %d to %d are possible", n, MinIterations, MaxIterations)
	}
	return nil
}

// work returns the work factor of a record that replaces one of former
// iterations (0: replaces none).
func (o *Options) work(former uint32) uint32 {
	if o.Iterations != 0 {
		return uint32(o.Iterations)
	}
	return max(DefaultIterations, former)
}

// resolve follows symbolic links, so that a change replaces the file and not a
// link to it.
func (o *Options) resolve(path string) string {
	return fsx.Resolve(o.FS, path)
}
