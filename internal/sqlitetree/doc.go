// Package sqlitetree builds programs from a temporary copy of go-sqlite3's module
// that is linked with Coffer: its own tests, which import what is internal to it,
// over a VFS that it does not know. It takes the Go toolchain, and is for
// benchmarks and tests.
package sqlitetree
