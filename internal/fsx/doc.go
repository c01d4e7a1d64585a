// Package fsx is the file system that everything in Coffer writes through:
// the operating system's ([OS]), and one in memory that crashes on purpose
// ([Mem]), which the proof of crash safety runs on.
//
// What a caller may rely on is what both promise, and no more:
//
//   - Nothing is durable before a sync. Before it, any subset of the 512-byte
//     sectors written may survive a power cut, in any order, and a sector being
//     written may read as garbage afterwards.
//   - Sync and SyncData make a file's content and size durable, not its name.
//     SyncDir makes the names in one directory durable: those created, removed
//     and renamed.
//   - A rename is atomic: after a power cut it has happened or it has not.
//   - After a failed sync the content is unknown and stays unknown: a later
//     sync that succeeds proves nothing about what was written before the one
//     that failed. Only writing again and syncing again does.
//   - Locks belong to an open file and die with it, or with its process.
//
// [Replace], [Create] and [Promote] are the only places of the project that
// rename a file.
//
// A File is safe for concurrent use, as *os.File is; writes that overlap have
// no defined order.
package fsx
