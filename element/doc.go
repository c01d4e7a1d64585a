// Package element encrypts single values and streams under managed keys: a card
// number in a column, a test result in JSON, an attachment. A ciphertext says
// itself which key it needs (its ID) and how it was made, so that keys can be
// changed value by value while a program goes on.
//
// A [Cipher] takes keys from a [dek.Keyring], where they are activated for
// [dek.Element], at most four at one time. Every value is bound to a context: bytes
// that say where it belongs, made with [NewContext] of table, column, row and
// whatever else must not be exchanged. The context is not stored; who decrypts must
// know it, and a value that was moved elsewhere does not authenticate.
//
// The suites:
//
//   - [GCM], the default: AES-GCM with random nonces.
//   - [CBC]: AES-CBC with PKCS #7 padding, random IV and HMAC-SHA256, for who needs that mode.
//   - [SIV]: AES-SIV, deterministic. Equal values under one key and context have equal
//     ciphertexts, so that a column can be searched and joined for equality. It
//     reveals just that: which values are equal, and how often each comes.
//   - [CBCUnauthenticated]: AES-CBC alone, binding no context. Whoever can write to where it is
//     stored can change what it decrypts to, and learn it, by watching which changes
//     are refused. Only with [Options.AllowUnauthenticated].
//
// Streams ([NewWriter], [NewReader], [OpenReaderAt]) are cut into segments, each
// authenticated with its number and whether it is the last. [Cipher.Index] and
// [Cipher.Bucket] make blind indexes of values, [Cipher.EncryptDigits] keeps the
// form of numbers; each says what it reveals. [EncodeText] is the text form of a value.
//
// For programs with databases: [Cipher.Column] makes arguments and destinations for
// database/sql; [String], [Bytes] and [Field] are values that are clear in the program and
// encrypted in every store, and print as redacted; [Structs] goes by struct tags. Package
// element/retable changes the key of a column of a table that is in use.
//
// What it is not: it hides neither the length of a value nor which key it is under;
// it cannot tell an old value put back in its place from the present one; and a
// missing value is no error here.
//
// Concurrency: a Cipher may be used by many goroutines at once, and so may a
// [ReaderAt]. A [Writer] and a [Reader] belong to one at a time.
//
// Durability: nothing here writes files.
//
// In FIPS mode (package fips) GCM is sealed with nonces that Go's validated module
// draws, CBC is done by the module, SIV and digits are refused.
//
// On disk: FORMAT.md, section "Data elements", is normative.
package element
