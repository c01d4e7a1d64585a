package journal

import (
	"fmt"

	"github.com/cofferdb/coffer/internal/fault"
)

// Ticket is a place in the journal. Each must be committed or aborted, once:
// everything behind it waits.
type Ticket struct {
	j   *Journal
	seg *segment
	seq uint64
	n   int
}

// Seq is the sequence number the frame will have.
func (t Ticket) Seq() uint64 { return t.seq }

// Segment is the number of the segment the frame will be in.
func (t Ticket) Segment() uint64 { return t.seg.hdr.number }

// Ticket takes a place for a record of at most n bytes. It switches to another
// segment, under the same key, where the present one is full. Errors: [ErrUsage]
// for n above [Journal.MaxPayload]; [ErrOutcomeUnknown] once the journal is
// poisoned; [ErrClosed]. What keeps a segment from being made or filled (a full
// disk, a quota, too many open files, no memory) is refused here, before a number
// is taken: the error is the file system's, [Journal.Err] stays nil, and it can be tried again.
func (j *Journal) Ticket(n int) (Ticket, error) {
	if n < 0 || n > j.o.MaxFramePayload {
		return Ticket{}, fmt.Errorf("journal: a record of %d bytes, most is %d: %w", n, j.o.MaxFramePayload, fault.Usage)
	}
	j.mu.Lock()
	for {
		if err := j.refusal(); err != nil {
			j.mu.Unlock()
			return Ticket{}, err
		}
		s := j.taking()
		end := s.end + s.out + j.reserve(n) + j.reserve(closingSize)
		if end <= s.slots[0].filled.Load() {
			t := j.issue(s, n)
			j.lookAhead(s, end)
			j.mu.Unlock()
			return t, nil
		}
		if end > int64(s.hdr.capacity) && !j.leading && j.queue.till > j.queue.base {
			j.lead(false) // frames that are written take less than was reserved for them
			continue
		}
		j.mu.Unlock()
		var err error
		if end > int64(s.hdr.capacity) {
			_, err = j.advance(s, s.hdr.key)
		} else {
			err = j.fill(s.slots[0], end)
		}
		if err != nil {
			return Ticket{}, err
		}
		j.mu.Lock()
		s.stuck = false
	}
}

// refusal is why no ticket is given, or nil. mu is held.
func (j *Journal) refusal() error {
	if j.err != nil {
		return j.err
	}
	if j.closed {
		return ErrClosed
	}
	return nil
}

// reserve is what a frame with n bytes takes at the most: all of its batch's padding may be behind it.
func (j *Journal) reserve(n int) int64 { return roundUp(frameHeaderSize+int64(n), int64(j.o.Unit)) }

// issue gives the next sequence number to a frame in s. mu is held.
func (j *Journal) issue(s *segment, n int) Ticket {
	t := Ticket{j: j, seg: s, seq: j.nextSeq, n: n}
	j.nextSeq++
	bytes := j.reserve(n)
	s.out += bytes
	j.queue.push(entry{state: entryOpen, seg: s, bytes: bytes})
	return t
}

// Commit seals the record, which has no more bytes than the ticket was taken
// for, and hands it over: it is durable when [Journal.Wait] says so. The record
// is the caller's again on return. On an error the ticket is used up as if aborted.
// Commit may wait, or write itself, while much is handed over and not written.
func (t Ticket) Commit(payload []byte) error {
	if len(payload) > t.n {
		t.Abort()
		return fmt.Errorf("journal: a record of %d bytes on a ticket for %d: %w", len(payload), t.n, fault.Usage)
	}
	return t.hand(kindData, payload)
}

// Abort gives the place up: it becomes an empty frame. It does nothing on a used ticket.
func (t Ticket) Abort() {
	_ = t.hand(kindEmpty, nil) // an error means that nothing is written any more, or that there is nothing to abort
}

func (t Ticket) hand(kind frameKind, payload []byte) error {
	j := t.j
	j.mu.Lock()
	e := j.queue.at(t.seq)
	if err := j.err; err != nil {
		j.mu.Unlock()
		return err
	}
	if e == nil || e.state != entryOpen || e.seg != t.seg {
		j.mu.Unlock()
		return ErrTicketUsed
	}
	e.state = entrySealing
	cipher := t.seg.cipher
	j.mu.Unlock()

	f := takeBuf(j.reserve(len(payload)))
	h := &t.seg.hdr
	ad := frameAD(kind, t.seq, len(payload), h.volume, h.stream, h.segment)
	b, nonce, tag, err := cipher.Seal(f.b[:frameHeaderSize], payload, ad[:])
	f.b = b
	f.head = frameHeader{
		kind: kind, length: uint32(len(payload)), seq: t.seq, segment: h.segment, nonce: nonce, tag: tag,
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.poison(err) // cannot happen: no cipher is closed while tickets are out
		return j.err
	}
	e = j.queue.at(t.seq) // the ring may have grown
	e.state, e.frame = entryReady, f
	j.handed = max(j.handed, t.seq)
	j.backlog += int64(len(b))
	if j.queue.advance() && !j.leading {
		j.broadcast()
	}
	return j.relieve()
}

// Append hands over a record: [Journal.Ticket] and [Ticket.Commit].
func (j *Journal) Append(payload []byte) (seq uint64, err error) {
	t, err := j.Ticket(len(payload))
	if err != nil {
		return 0, err
	}
	return t.seq, t.Commit(payload)
}
