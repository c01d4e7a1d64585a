// Package journal is a redo log of opaque records: sealed frames in segments,
// with group commit, key changes, recovery and retention.
//
// A journal is a folder of slot files. Each slot holds at most one segment: a
// header that names the segment, its key and its predecessor's accepted end,
// then frames. A frame holds one record, sealed under a subkey of its
// segment; it authenticates alone and carries a chain value over everything
// before it. The layout is in FORMAT.md, "The journal".
//
// # Writing
//
// [Start] begins a journal, [Recovered.Continue] goes on with one after a
// recovery. [Journal.Append] hands a record over and returns its sequence
// number, [Journal.Wait] returns when it is durable; one sync of the file
// serves everybody who waits. [Journal.Ticket] takes a sequence number first,
// so that sealing happens on the caller's goroutine outside every lock.
// Sequence numbers grow by one for each frame. Closing frames and aborted
// tickets use numbers too, so the data frames a caller sees have gaps.
//
// # Recovery
//
// [Recover] reads from a known position, writes nothing, and hands every
// accepted record to the caller in order. What it accepts is a prefix of what
// was appended and includes every record that was ever acknowledged. A bad
// frame is the tail, and cut, unless something authentic says that it was
// durable: then it is damage, and an error. [Recovered.Settle] makes durable
// what was accepted, in another place, without writing a sector that may hold
// an acknowledged record; only then may the caller act on it.
//
// # What it is not
//
// It does not detect that the tail of the journal, or the whole of it, was
// replaced by an older state: that needs a value kept elsewhere, and
// [Journal.Head] returns what to keep. It does not know what the records mean.
//
// # Concurrency and durability
//
// All methods of [Journal] may be called from many goroutines. Nothing keeps two
// openers of one folder apart: the caller holds a lock, as a volume does. A record is
// durable when Wait or Sync returned nil for it, not before. After a failed
// write or sync the journal is poisoned: see [ErrOutcomeUnknown].
package journal
