package secmem

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DisableCoreDumps makes this process leave no core dump, whatever else it
// holds: RLIMIT_CORE becomes 0 and the process is marked not dumpable, which
// also keeps other processes of the same user from attaching to it. It is for
// programs, to be called first; a library must not call it.
func DisableCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("secmem: set RLIMIT_CORE to 0: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("secmem: mark the process not dumpable: %w", err)
	}
	return nil
}
