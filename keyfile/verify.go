package keyfile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cofferdb/coffer/internal/fault"
)

func damagedOnly(err error) bool { return errors.Is(err, fault.Damaged) }

// Report is what [Verify] found in a key file that is whole.
type Report struct {
	Info
	Unwrapped int      `json:"unwrapped"` // keys that unwrap: all of them
	Warnings  []string `json:"warnings"`  // what works and could be better
}

// Verify opens the file and unwraps everything in it: the administrator's copy
// of the KEK, the MAC over the whole file, each key. The other administrators'
// records are as they were written, which the MAC says; that their passwords
// are known to somebody nothing can say. Errors as for [Open].
func Verify(path string, cred Credentials, o *Options) (Report, error) {
	f, err := Open(path, cred, o)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = f.Close() }() // has no error
	keys, err := f.AllKeys()
	if err != nil {
		return Report{}, err
	}
	defer destroyAll(keys)
	r := Report{Info: f.Info(), Unwrapped: len(keys)}
	r.Warnings = warnings(r.Info)
	if st, err := f.opts.FS.Stat(f.path); err == nil && exposed(st.Mode()) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the file's mode is %04o: others than its owner may read or replace it", st.Mode().Perm()))
	}
	return r, nil
}

func warnings(in Info) []string {
	var w []string
	if len(in.Admins) == 1 {
		w = append(w, "one administrator only: add a second, written down and locked away")
	}
	for _, a := range in.Admins {
		if a.Iterations < DefaultIterations {
			w = append(w, fmt.Sprintf("administrator %s: %d iterations, %d are usual now; a password change raises them",
				a.Name, a.Iterations, DefaultIterations))
		}
	}
	return w
}

// exposed reports whether a mode lets others than the owner at the file.
func exposed(mode fs.FileMode) bool { return ownerOnlyModes && mode.Perm()&0o077 != 0 }
