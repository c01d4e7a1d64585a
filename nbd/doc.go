// Package nbd serves a volume as a network block device: an encrypted disk for
// any file system, virtual machine or database that knows nothing of Coffer.
//
// # What it is
//
// A [Server] speaks the NBD protocol
// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md): the fixed
// newstyle handshake with LIST, INFO, GO, EXPORT_NAME, STARTTLS, structured
// replies and the metadata context base:allocation; and the commands READ, WRITE,
// FLUSH, TRIM, WRITE_ZEROES, CACHE and BLOCK_STATUS, with FUA, NO_HOLE and
// FAST_ZERO. Requests of any offset and length are taken; what covers a block in
// part is read, changed and written in one transaction. [Volume] makes the device
// of a [blockstore.Store].
//
// # What it is not
//
// Not a client, and not for several exports: one server serves one device, under
// the empty name and one of its own. Not for a network without TLS: a TCP listener
// needs a configuration with client certificates. No extended headers, no resizing
// while a client is connected.
//
// # Durability
//
// A write that was answered is in the volume's journal queue, whole, and every
// connection reads it. It survives a power cut, whole, once a FLUSH that was sent after the
// answer has been answered, on this connection or any other (MULTI_CONN), or at once where
// it carried FUA. A write of up to 32 MiB is one atomic commit. TRIM and WRITE_ZEROES make authenticated
// holes, but for NO_HOLE, which writes zeros. After a failed sync writes and flushes
// fail with EIO until the volume is opened again, and reads show what is durable.
//
// # Concurrency
//
// The requests of a connection run at the same time, and are answered as they end.
// Their number, and the memory of their data, is bounded for each connection
// ([Options]); a client that sends more waits.
//
// # Shutdown
//
// [Server.Shutdown] accepts no more connections, answers what was received before,
// refuses what comes after that with ESHUTDOWN, but for FLUSH, and closes the
// connections. The volume is the caller's to close afterwards.
package nbd
