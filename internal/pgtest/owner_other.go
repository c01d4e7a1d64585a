//go:build !unix

package pgtest

import "syscall"

func give(string) error { return nil }

func asOwner(string) *syscall.SysProcAttr { return nil }
