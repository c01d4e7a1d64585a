// Package pebblefs is a file system for Pebble (github.com/cockroachdb/pebble)
// whose files are encrypted and authenticated. It is a vfs.FS over another
// vfs.FS, and goes into pebble.Options.FS:
//
//	fs, err := pebblefs.New(vfs.Default, keys, nil)
//	db, err := pebble.Open(dir, &pebble.Options{FS: fs})
//
// Every file has a random identity and a subkey of its own, derived from a
// data-encryption key of a [dek.Keyring]. Its content is sealed with AES-GCM in
// pages of 4,096 bytes that are written once: a page that was synced is never
// written again, so that no later write can put it at risk, and no nonce
// depends on anything a crash, a copy or a recycled file can bring back.
//
// What is detected: a changed, swapped, moved or replayed page, a page of
// another file or of a recycled file's former life, a table cut short, a log
// that lost what it is known to have had, a file put under another's name. What
// is not: a whole file, or a whole directory, put back as it was before under
// its own name, and the tail of a log cut off where its synced tail might have
// been: both look like a backup or a power cut. See FORMAT.md, "Pebble files".
//
// Keys: [FS.SetKey] changes the key of files made from then on, [FS.Rekey]
// re-encrypts the others while Pebble uses them and proves by count that none is
// left; [Files] lists which file is under which key and needs none.
//
// What it is not: it encrypts what Pebble stores as files and nothing else. Sizes,
// times, the number of files and which of them change can be seen, and names
// too, unless [Options.Names] hides them. Pebble's caches hold plaintext in
// memory; switch core dumps off.
//
// Files are written by appending, or read. What was written to a log (*.log,
// MANIFEST-* and the like) is in the underlying file when Write returns. Other files are
// buffered, up to 128 KiB, until Sync or Close: another handle sees them after
// that. [FS.OpenReadWrite] makes files for random writes, which Pebble uses for
// its secondary cache: there a page is written again, and an old one put back in
// its place is not noticed.
//
// Concurrency: FS is safe for concurrent use, its files as vfs.File asks. One FS
// object serves a database at a time, as Pebble's own lock sees to.
package pebblefs
