package journal

import (
	"context"
	"fmt"
	"runtime"

	"github.com/cofferdb/coffer/internal/fault"
)

const (
	maxBatch   = 4 << 20 // bytes written at once, at the most, but for one frame
	maxBacklog = 8 << 20 // bytes handed over that may wait in memory
)

// Wait returns nil when frame seq is durable. Whoever waits while nobody writes
// writes for all. [ErrOutcomeUnknown] after a failed write or sync, for every
// number that was not durable before it, or when the journal was closed;
// [ErrUsage] for a number not yet given. The end of ctx only stops the waiting,
// and not the write this goroutine does itself.
func (j *Journal) Wait(ctx context.Context, seq uint64) error {
	if seq <= j.durableSeq.Load() {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq >= j.nextSeq {
		return fmt.Errorf("journal: frame %d was never appended: %w", seq, fault.Usage)
	}
	return j.await(ctx, seq, 0)
}

// Sync waits until everything is durable that was handed over before the call.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	return j.await(ctx, j.handed, 0)
}

// await returns when frame seq is durable, and the header of the segment of that number. mu is held but while it waits or writes.
func (j *Journal) await(ctx context.Context, seq, segment uint64) error {
	for j.durable.Seq < seq || j.durable.Segment < segment {
		if j.err != nil {
			return j.err
		}
		head := segment != 0 && !j.writing.begun
		if !j.leading && (head || j.queue.till > j.queue.base || j.written.Seq > j.durable.Seq) {
			j.lead(true)
			continue
		}
		if err := j.sleep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits for a broadcast. mu is held, but not while it waits.
func (j *Journal) sleep(ctx context.Context) error {
	wake := j.wake
	j.waiters++
	j.mu.Unlock()
	defer j.mu.Lock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("journal: wait: %w", ctx.Err())
	}
}

// relieve writes, without a sync, while more is handed over than should wait in memory. mu is held.
func (j *Journal) relieve() error {
	for j.backlog > maxBacklog && j.queue.till > j.queue.base && j.err == nil {
		if j.leading {
			_ = j.sleep(context.Background())
			continue
		}
		j.lead(false)
	}
	return j.err
}

// lead writes what is ready, of one segment, and syncs it if asked to, or if the
// segment ends. mu is held, but not while it writes; the caller saw that nobody leads.
func (j *Journal) lead(sync bool) {
	j.leading = true
	if sync {
		j.gather()
	}
	s := j.writing
	batch, size := j.collect(s)
	durable, head := j.durable.Seq, !s.begun
	ending := len(batch) > 0 && batch[len(batch)-1].frame.head.kind == kindClose
	sync = sync || ending
	j.mu.Unlock()
	w := written{head: head, synced: sync, ending: ending}
	err := j.write(s, batch, size, durable, &w)
	j.mu.Lock()
	if err != nil {
		j.poison(err)
	} else {
		j.settle(s, batch, w)
	}
	for i := range batch {
		batch[i].frame.release()
		batch[i] = entry{}
	}
	j.leading = false
	j.broadcast()
}

// gather lets those who are just sealing finish, so that they share this sync. mu is held, but not all the time.
func (j *Journal) gather() {
	for range 2 {
		if j.queue.till == j.queue.end {
			return
		}
		j.mu.Unlock()
		runtime.Gosched()
		j.mu.Lock()
	}
}

// collect returns the entries to write, which are all of segment s, and their size. mu is held.
func (j *Journal) collect(s *segment) (batch []entry, size int64) {
	batch = j.batch[:0]
	for seq := j.queue.base; seq < j.queue.till; seq++ {
		e := j.queue.at(seq)
		if e.seg != s || len(batch) > 0 && size+int64(len(e.frame.b)) > maxBatch {
			break
		}
		batch = append(batch, *e)
		size += int64(len(e.frame.b))
	}
	j.batch = batch
	return batch, size
}

// written is what a write did.
type written struct {
	head, synced, ending bool
	hdr                  header // with head
	chain                [32]byte
	size                 int64 // of the batch with its padding, without the header
}

// write puts the batch behind what the segment has. Nobody else writes frames meanwhile.
func (j *Journal) write(s *segment, batch []entry, size int64, durable uint64, w *written) error {
	w.chain, w.size = s.chain, roundUp(size, int64(s.hdr.unit))
	generation := j.generation.Load()
	for i, e := range batch {
		h := &e.frame.head
		h.pad, h.durable, h.generation, h.prev = i == len(batch)-1, durable, generation, w.chain
		h.encode(e.frame.b)
		w.chain = finishFrame(s.cipher, e.frame.b)
	}
	out, off := j.assemble(s, batch, w, generation)
	place := s.slots[0]
	place.io.Lock()
	defer place.io.Unlock()
	if err := j.Err(); err != nil { // a sync ahead failed, perhaps with frames of ours in it
		return err
	}
	if len(out) > 0 {
		place.dirty = true
		if _, err := place.file.WriteAt(out, off); err != nil {
			return err
		}
	}
	if !w.synced {
		return nil
	}
	if err := place.file.SyncData(); err != nil {
		return err
	}
	place.dirty = false
	if w.ending { // it is never written again, or opened anew when it is recycled
		place.closeLocked()
	}
	return nil
}

// assemble returns the bytes to write and their place: the segment's header where it is not there yet, the frames, and zeros to the unit's end.
func (j *Journal) assemble(s *segment, batch []entry, w *written, generation uint64) ([]byte, int64) {
	if len(batch) == 1 && !w.head {
		f := batch[0].frame
		n := len(f.b)
		b := f.b[:w.size]
		clear(b[n:])
		return b, s.end
	}
	b, off := j.batchBuf[:0], s.end
	if w.head {
		w.hdr = s.hdr
		w.hdr.generation = generation
		b, off = append(b, w.hdr.encode(s.cipher)...), 0
	}
	start := len(b)
	for _, e := range batch {
		b = append(b, e.frame.b...)
	}
	b = append(b, zeros[:w.size-int64(len(b)-start)]...)
	if cap(b) <= maxBatch+MaxUnit {
		j.batchBuf = b
	}
	return b, off
}

// settle takes note of what was written. mu is held.
func (j *Journal) settle(s *segment, batch []entry, w written) {
	if w.head {
		s.begun, s.hdr.generation, s.hdr.mac = true, w.hdr.generation, w.hdr.mac
	}
	if n := len(batch); n > 0 {
		for _, e := range batch {
			s.out -= e.bytes
			j.backlog -= int64(len(e.frame.b))
			j.queue.pop()
		}
		s.last, s.chain = batch[n-1].frame.head.seq, w.chain
		s.end += w.size
	}
	j.written = Position{Segment: s.hdr.number, Seq: s.last, Chain: s.chain}
	if w.synced {
		j.durable = j.written
		j.durableSeq.Store(j.durable.Seq)
	}
	if w.ending {
		s.done = true
		s.lock()
		next := s.next
		next.hdr.pred = predecessor{
			number: s.hdr.number, segment: s.hdr.segment, end: s.last, offset: uint64(s.end), chain: s.chain,
		}
		next.last, next.chain = s.last, s.chain
		j.writing = next
	}
}
