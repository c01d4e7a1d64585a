// Package crashtest runs random programs on a volume in a file system that
// loses power, and checks at every cut that what was acknowledged is there
// whole and nothing else is.
//
// # What a program does
//
// Updates of whole blocks, ranges and lengths that end anywhere, durable and
// lazy, by one writer or several at once; the same through the byte view, at
// any offset; checkpoints, journal switches and key changes; conversions
// between all suites, over blocks that have rotted too, paused, stopped and turned
// around; purges; backups, full and incremental, and exports of a volume in use; salvages of what a kill would leave; re-seals of old epochs;
// snapshots that stay open over many checkpoints; clean and unclean ends; disks
// that fill up, and operations of the disk that fail, a sync that a later one
// seems to make good among them.
//
// # What is checked
//
// Before operations that change the disk, a picture of what a machine would
// find after a power cut at that instant is taken and opened in all the ways a
// volume can be opened, some of them cut again during recovery. What is found
// must equal the model after one commit at or after the last acknowledged one,
// to the byte, and verify clean but for the blocks that rotted. A read-only
// open must leave the disk alone. While a program runs, its writers must see
// every commit, its snapshots a durable one that stays as it is, its byte view
// every write; what a full disk refuses must not be there, and the store must
// go on; after a failed sync it must not.
//
// The model is a row of states in the order of their commits, which the
// functions of the transactions enter themselves, under the store's writer lock.
//
// # Replay
//
// Everything derives from a seed; goroutines, the engine's and a program's own,
// are the only source of variation between two runs of it. Each step has a random
// source of its own, so that a failure is shrunk by leaving steps out.
package crashtest
