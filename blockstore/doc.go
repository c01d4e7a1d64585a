// Package blockstore keeps fixed-size blocks in one encrypted, authenticated
// file, a volume, under keys of a [dek.Keyring], with a redo log beside it.
//
// # What it is
//
// A [Store] is an open volume. [Store.Update] is one atomic, durable commit
// over any number of blocks; [Store.View] is a snapshot that never blocks a
// writer; [Store.File] shows the same bytes as a file. [Store.Convert]
// encrypts, decrypts and re-keys while the volume is used. [Store.Verify]
// checks everything, [Store.Anchor] makes a rollback of the whole volume
// visible. [Store.Export] is the way out while a key is only in memory,
// [Salvage] takes what authenticates of a damaged volume. Every suite is authenticated, and a Merkle tree over the records of
// all blocks makes old copies of any of them detectable.
//
// # What it is not
//
// Not a database: it knows no keys, rows or pages of variable size. Not a file
// system: one volume is one file. Not for several processes: one process owns a
// volume that is open for writing.
//
// # Concurrency
//
// A Store may be used by many goroutines. There is one writer at a time; its
// place is free again as soon as its commit is appended, and one sync serves
// all commits that wait. Readers see the durable state and never wait.
// Transactions do not nest, and a [Tx] belongs to the goroutine that runs its function.
//
// # Durability
//
// When Update returns nil the commit survives a power cut, whole. When it
// returns [ErrOutcomeUnknown] it may or may not; nothing more is accepted until
// the volume is opened again. After a crash, Open replays the journal; a
// read-only open does so in memory and writes nothing. After a clean Close the
// volume file alone is complete.
package blockstore
