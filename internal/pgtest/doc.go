// Package pgtest is for tests: a real PostgreSQL server in a temporary folder, on a unix socket.
package pgtest
