// Command coffer makes, converts and inspects encrypted volumes, and keeps the
// key files they are opened with.
//
// Results go to standard output, everything else to standard error. Neither a
// password nor a key is ever an argument. The exit code tells what happened;
// the table is in exit.go.
package main
