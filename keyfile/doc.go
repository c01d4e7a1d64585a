// Package keyfile keeps data-encryption keys in a file that administrators
// open with a name and a password.
//
// A key file holds 1 to [MaxKeys] keys, each wrapped by the file's
// key-encryption key (KEK), and one wrapped copy of the KEK for each of 1 to
// [MaxAdmins] administrators, under a principal key made from the password by
// PBKDF2-HMAC-SHA512. Every administrator has access to every key. The whole
// file is under a MAC keyed from the KEK, and under a checksum that needs no key.
// FORMAT.md has the layout, byte for byte.
//
// One key of the file is its default key and one, perhaps the same, its journal
// key. The marks matter only when something is created.
//
// # What a key file does not do
//
// Whoever keeps an older copy of the file, and the password that opened it,
// keeps the keys in it: deleting an administrator, changing a password or
// deleting a key reaches no copy. Only a re-key of the data ends that. An older
// copy put back whole opens as what it is; it is noticed only by a [File] that
// was open before.
//
// # Durability and concurrency
//
// Every change locks the file, reads it again, does the change to what it finds,
// and replaces the file in one step: after a crash there is the old file or the
// new one, whole, and two processes that add keys lose none. A change that
// returned nil is durable. A change that failed left the old file, or, where the
// error comes from making the replacement durable, possibly the new one.
//
// Functions and the methods of File are safe for concurrent use. Info, Keys and
// Key answer from the file as this File last read or changed it.
//
// # Secrets
//
// The KEK and unwrapped keys lie in locked memory. Passwords are not kept, but
// Go's library copies a password and HMAC's state on its heap while it derives.
package keyfile
