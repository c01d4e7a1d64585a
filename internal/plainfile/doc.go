// Package plainfile turns a plain file, such as a SQLite database or a table
// file, into a volume and back, under the same path.
//
// Both directions work alike. The new file is built beside the old one, as
// PATH.coffer-new, the whole of it is compared with the old one, and only then
// it takes the old one's place in one rename. The old file is never written:
// whatever is cut short, it is whole until the instant it is replaced.
//
//  1. Symbolic links are followed, a file with several hard links is refused,
//     the file is locked, and space is checked. PATH.coffer-job, durable before
//     anything is made, says that what lies at PATH.coffer-new is this
//     package's; without it nothing at that name is touched.
//  2. The new file is created, or one that an interrupted run left is taken up:
//     it is compared block by block and written only where it differs.
//  3. It is made durable, opened again, and the whole of it is compared with the
//     old file, which must not have changed since step 2; else step 2 again.
//  4. What lies beside the file that goes (its journal folder) is removed, mode
//     and owner are copied, the new file is renamed over the old one.
//
// A decryption that fails removes the plain text it made; one that is
// interrupted leaves it for the next run, and [Abandon] removes it.
//
// Volumes are a clean, closed file at step 4, so that the one file is complete
// without its journal folder.
//
// What this does not do: the old content stays in blocks of the disk that the
// file system has marked free, until it uses them again. For Encrypt that is
// plaintext. Nor is there a lock that keeps an arbitrary program from writing to a plain
// file; what is checked is that the file's size, times and content did not
// change up to the rename. SQLite databases are locked as SQLite locks them.
//
// The functions may be called from several goroutines and processes; for one
// path, the second is refused with fault.InUse.
package plainfile
