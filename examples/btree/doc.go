// Package btree is an example: a B+tree of variable-length keys and values whose
// pages are the blocks of a volume.
//
// # What it is
//
// What a program with page code of its own looks like on Coffer. Pages are changed where
// they lie, inside one [blockstore.Store.Update]: a split that touches five pages, the list
// of free pages and the header is one atomic, durable commit, so that there is no log, no
// copying on write and no recovery in here. Readers run in a [blockstore.Store.View], a
// snapshot, beside the writer. Everything is encrypted and authenticated below.
//
// # What it is not
//
// Not a database. Pages that become empty are given back, half-empty ones are
// not merged. A key and its value together take up at most a quarter of a page.
//
// # Concurrency and durability
//
// Those of the store: one writer at a time, any number of readers, and what
// [Tree.Update] returned nil for survives a power cut, whole.
package btree
