// Package dek holds data-encryption keys: their identifiers, the keys
// themselves, key wrap and derivation, and the keyring of activated keys.
//
// A [Key] lives in locked memory (see [Key.ExposeSecret] for the only way to
// its bytes). It cannot be compared with ==, printed, logged or marshalled:
// every such attempt gives "dek.Key(ID)" or an error. Identifiers are public.
//
// A [Keyring] is the table of activated keys: at most [MaxDatabaseKeys] for
// databases and [MaxElementKeys] for data elements, the same key in both if
// wanted, with one default and one journal key. Whoever uses a key holds a
// [Lease]; a leased key cannot be deactivated, and the refusal names who holds it.
//
// The package does no input or output: keys come from a [Source], which package
// keyfile, a client of a key server or the program itself provides, and the caller keeps the choice of default and journal
// key across restarts (a key file carries both marks).
//
// Concurrency: Keyring and Lease are safe for concurrent use. A Key may be read
// by any number of goroutines; [Key.Destroy] must come after every other use.
//
// One exception to locked memory: where Go's library expands AES round keys or
// keeps HMAC state, they lie on its heap until collected. Programs that hold
// keys should switch core dumps off.
package dek
