// Package retable encrypts, decrypts and re-keys a column of encrypted values
// (package element) in a table of a database, over [database/sql], while
// programs read and write that table.
//
// [Run] walks the table by its primary key, a batch at a time and not faster
// than it was told. It changes a value only where the row still holds exactly
// what was read (compare and set), in short transactions that never wait for a
// row while they hold another: a write of somebody else in between wins, and the
// row is looked at again later. So nothing is lost, nothing is done twice, and no
// live writer comes into a deadlock. When the end is reached, one statement reads
// every value and counts by key; only where that finds none under the old key is
// the work done, else it goes round again. That the count stays so is up to the
// writers: while somebody still encrypts under the old key it cannot be proven,
// and Run says so. Let writers use the new key first, then run.
//
// A [Checkpoint] remembers the place between runs. It is never needed to be
// right: without one, a run that begins anew skips what is done.
//
// A value that is damaged, under a context or key that is not there, or none of
// ours, is reported by its row's key and left as it is; the rest is done and the
// error is an [IncompleteError].
//
// What it does not do: it does not lock the table, change its definition, or
// keep triggers from running. The old ciphertext stays in dead rows, logs and
// backups of the database until that removes them. A server that logs statements
// with their values logs, in an encryption or decryption, plaintext.
package retable
