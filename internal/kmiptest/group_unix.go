//go:build unix

package kmiptest

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// stopGroup kills a process started with ownGroup and its children.
func stopGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
