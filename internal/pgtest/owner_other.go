//go:build !unix

package pgtest

import (
	"os"
	"syscall"
)

var quit = os.Kill

func give(string) error { return nil }

func asOwner(string) *syscall.SysProcAttr { return nil }
