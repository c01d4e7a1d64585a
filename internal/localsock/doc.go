// Package localsock makes unix sockets for this process's user alone: mode 0600,
// and the peer's user asked of the kernel on both sides. What a killed process left
// is replaced, what is in use or no socket is refused. Paths may be longer than a
// socket's address has room for, on Linux.
package localsock
