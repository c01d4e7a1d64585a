//go:build !unix

package kmiptest

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func stopGroup(p *os.Process) { _ = p.Kill() }
