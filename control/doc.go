// Package control lets other processes ask something of a volume that a running
// process has open: info, anchor, verify, backup and re-key. One process owns a
// volume at a time; without this its users would have to stop it first.
//
// # What it is
//
// [Serve] listens on VOLUME.ctl, a unix socket beside the volume, for as long as the
// store is open; [Dial] connects to it, as the command coffer does by itself. A
// request is a line of JSON, the answer are lines with progress and, at the end,
// the result or an error with its markers, so that errors.Is works across.
//
// # Who may ask
//
// The process's own user, and root: the socket has mode 0600, and both sides ask the
// kernel whose the other end is. A client believes a server of its own user, of
// root, and of the volume file's owner. A socket that a killed process left is
// replaced by the next owner, whose lock on the volume proves that nobody else is it.
//
// # Keys
//
// No key, no password and no plaintext go through the socket, only key IDs. A
// re-key to a key that the owner has not activated makes it look into its own
// sources again ([Options.Activate]): a new key is put there first, by whoever
// has the right to. A backup is encrypted as the volume is; the owner writes it, with its rights.
//
// # Concurrency
//
// Several clients may be connected. One re-key and one backup run at a time; others
// are refused. Closing the connection, or ending the context, stops what was asked for,
// as an interrupt stops the command: a re-key stays resumable.
package control
