package nbd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// transmit takes requests until the client disconnects, and starts each on a
// goroutine of its own when there is room for it and its data.
func (c *conn) transmit(in *bufio.Reader) error {
	for {
		var head [requestSize]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		r, err := parseRequest(&head)
		if err != nil {
			return err
		}
		if r.cmd == cmdDisc {
			return nil
		}
		if err := c.begun(in, r); err != nil {
			return err
		}
	}
}

// begun receives the rest of a request and starts it.
func (c *conn) begun(in *bufio.Reader, r request) error {
	if r.cmd == cmdWrite && r.n > maxPayload {
		return fmt.Errorf("%w: a write of %d bytes", ErrProtocol, r.n)
	}
	c.requests.take(1)
	e := c.check(r)
	size := c.memoryFor(r, e)
	c.memory.take(size)
	var data []byte
	if size > 0 {
		data = getBuffer(int(size))
	}
	end := func() {
		if data != nil {
			putBuffer(data)
		}
		c.memory.give(size)
		c.requests.give(1)
	}
	if err := c.receive(in, r, e, data); err != nil {
		end()
		return err
	}
	c.work.Go(func() {
		defer end()
		c.do(r, e, data)
	})
	return nil
}

// memoryFor is how many bytes of data a request needs.
func (c *conn) memoryFor(r request, e Errno) int64 {
	switch {
	case e != 0:
		return 0
	case r.cmd == cmdRead, r.cmd == cmdWrite:
		return int64(r.n)
	case r.cmd == cmdCache:
		return min(int64(r.n), cacheBytes)
	}
	return 0
}

// receive reads the data of a write; of one that is refused it is passed over.
func (c *conn) receive(in *bufio.Reader, r request, e Errno, data []byte) error {
	if r.cmd != cmdWrite {
		return nil
	}
	if e != 0 || r.n == 0 {
		_, err := in.Discard(int(r.n))
		return err
	}
	_, err := io.ReadFull(in, data[headroom:])
	return err
}

// commandFlags are the flags that each command takes beside FUA, which all take.
var commandFlags = map[uint16]uint16{
	cmdRead: cmdFlagDF, cmdWrite: 0, cmdFlush: 0, cmdTrim: 0, cmdCache: 0,
	cmdWriteZeroes: cmdFlagNoHole | cmdFlagFastZero, cmdBlockStatus: cmdFlagReqOne,
}

// check refuses a request that cannot succeed, whatever the device holds.
func (c *conn) check(r request) Errno {
	flags, known := commandFlags[r.cmd]
	changes := r.cmd == cmdWrite || r.cmd == cmdTrim || r.cmd == cmdWriteZeroes
	size := uint64(c.dev.Size())
	past := r.off > size || uint64(r.n) > size-r.off
	switch {
	case c.isDraining() && r.cmd != cmdFlush:
		return ESHUTDOWN
	case !known, r.flags&^(flags|cmdFlagFUA) != 0, r.flags&cmdFlagDF != 0 && !c.structured:
		return EINVAL
	case changes && c.dev.ReadOnly():
		return EPERM
	case r.cmd == cmdFlush:
		return 0
	case past && (r.cmd == cmdWrite || r.cmd == cmdWriteZeroes):
		return ENOSPC
	case past:
		return EINVAL
	case r.cmd == cmdRead && r.n > maxPayload:
		return c.tooLarge()
	case r.cmd == cmdBlockStatus && (c.context == nil || *c.context != c.export || r.n == 0):
		return EINVAL
	case r.flags&cmdFlagFastZero != 0 && r.flags&cmdFlagNoHole != 0:
		return ENOTSUP
	}
	return 0
}

func (c *conn) tooLarge() Errno {
	if c.structured {
		return EOVERFLOW
	}
	return EINVAL
}

// cacheBytes is how much of what a client wants cached is read at a time; cacheMost, in all.
const (
	cacheBytes = 1 << 20
	cacheMost  = 32 << 20
)

// do does a request that was checked, and answers it. data is headroom and the data.
func (c *conn) do(r request, e Errno, data []byte) {
	var err error
	switch {
	case e != 0:
		c.answer(r, e)
		return
	case r.n == 0 && r.cmd != cmdFlush: // nothing to do
	case r.cmd == cmdRead:
		if err = c.read(r, data); err == nil {
			return
		}
	case r.cmd == cmdBlockStatus:
		if err = c.blockStatus(r); err == nil {
			return
		}
	default:
		err = c.change(r, data)
	}
	if e = errnoOf(err); e != 0 && !errors.Is(err, e) {
		c.complain(r, e, err)
	}
	c.answer(r, e)
}

// complain logs a request that failed by the device's fault: the first few of a
// connection, and then few of many, because a disk that is full fails them all.
func (c *conn) complain(r request, told Errno, err error) {
	if n := c.failed.Add(1); n <= 10 || n%1000 == 0 {
		c.srv.opts.Logger.Warn("nbd: a request failed", "command", r.cmd, "offset", r.off, "bytes", r.n, "told", uint32(told), "failed_so_far", n, "cause", err)
	}
}

// change does the requests that are answered without data.
func (c *conn) change(r request, data []byte) error {
	off, n, durable := int64(r.off), int64(r.n), r.flags&cmdFlagFUA != 0
	switch r.cmd {
	case cmdWrite:
		return c.dev.WriteAt(data[headroom:], off, durable)
	case cmdFlush:
		return c.dev.Flush()
	case cmdTrim, cmdWriteZeroes:
		return c.dev.Zero(off, n, r.flags&cmdFlagNoHole != 0, durable)
	case cmdCache:
		for end := off + min(n, cacheMost); off < end; {
			part := data[headroom:]
			got, err := c.dev.ReadAt(part[:min(int64(len(part)), end-off)], off)
			if err != nil {
				return err
			}
			off += int64(got)
		}
		return nil
	}
	return EINVAL
}

// answer ends a request that has no data to send.
func (c *conn) answer(r request, e Errno) {
	switch {
	case c.structured && e != 0:
		c.send(appendError(nil, e, r.cookie))
	case c.structured && r.cmd == cmdRead: // of no bytes: a read is always answered so
		c.send(appendChunk(nil, replyDone, chunkNone, r.cookie, 0))
	default:
		c.send(appendSimple(nil, e, r.cookie))
	}
}

// read answers a read with its data. The whole of it was read before the first byte goes out.
func (c *conn) read(r request, data []byte) error {
	if _, err := c.dev.ReadAt(data[headroom:], int64(r.off)); err != nil {
		return err
	}
	if !c.structured {
		appendSimple(data[headroom-simpleSize:headroom-simpleSize], 0, r.cookie)
		c.send(data[headroom-simpleSize:])
		return nil
	}
	appendChunk(data[:0], replyDone, chunkData, r.cookie, len(data)-structSize)
	be.PutUint64(data[structSize:], r.off)
	c.send(data)
	return nil
}

// blockStatus answers which parts of a range are holes, as far as a bounded answer goes.
func (c *conn) blockStatus(r request) error {
	m, ok := c.dev.(Mapper)
	if !ok {
		return EINVAL
	}
	most := maxExtents
	if r.flags&cmdFlagReqOne != 0 {
		most = 1
	}
	b := make([]byte, structSize, structSize+4+8)
	b = be.AppendUint32(b, contextID)
	last := uint32(0)
	for off, n := int64(r.off), int64(r.n); n > 0; {
		length, hole, err := m.Extent(off, n)
		if err != nil {
			return err
		}
		state := uint32(0)
		if hole {
			state = stateHoleZero
		}
		if end := len(b); end > structSize+4 && state == last { // two parts of one extent
			be.PutUint32(b[end-8:], be.Uint32(b[end-8:])+uint32(length))
		} else if (end-structSize-4)/8 == most {
			break
		} else {
			b = be.AppendUint32(be.AppendUint32(b, uint32(length)), state)
		}
		last, off, n = state, off+length, n-length
	}
	appendChunk(b[:0], replyDone, chunkBlockStatus, r.cookie, len(b)-structSize)
	c.send(b)
	return nil
}
