// Package kms keeps data-encryption keys under keys of a cloud key service: AWS
// KMS, Azure Key Vault, or one that a program brings itself.
//
// A KMS key file holds exactly one key, wrapped by a key of the service that
// never leaves it. Opening the file needs no network and proves nothing; getting
// its key asks the service to unwrap it, and then authenticates the whole file
// under a subkey of what came back. FORMAT.md has the layout, byte for byte.
//
// The key itself is made here, by the generator that makes all of Coffer's keys,
// and the service wraps it. AWS's GenerateDataKey would make it there: one
// provider of two could, a key that exists could not be put under another
// service's key, and the key's origin would not be the module that is in use.
//
// # What the file says is not believed where that could hurt
//
// Nothing in the file is authentic before the service has answered, and the file
// says whom to ask. So what could give credentials or keys away is never taken
// from it: an authority's certificate, another authority for tokens, the two
// checks that a private cloud needs switched off ([PrivateCloud]), plain HTTP to
// anything but this machine, and credentials themselves. These come from the
// [Options] of who opens, or the process's environment.
//
// # What it does not do
//
// Who can write the file and use a key of the service can put a file of his own
// in its place, with another key under the same ID. Volumes that exist refuse
// that key; a new volume would be made under it. Keep the file where only its
// owner writes. Taking away a permission or deleting the service's key does not
// reach a key that is activated already, nor one that was copied.
//
// # Durability and concurrency
//
// A file is made, and replaced by [File.Rewrap], in one step: after a crash there
// is the old file or the new one, whole. Nothing is written unless the service
// has wrapped the key and given it back. Functions and methods of File are safe
// for concurrent use.
//
// # Secrets
//
// The services' libraries hold what they send and receive, the key among it, on
// Go's heap until it is collected; what this package gets from them it wipes.
package kms
