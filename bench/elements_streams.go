package bench

import (
	"bytes"
	"crypto/rand"
	"io"

	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/internal/aes"
)

const (
	streamBytes   = 16 << 20 // of one operation
	segmentBytes  = 64 << 10 // of a segment, as the package has it
	streamChunk   = 1 << 20  // of one Write: what the source has in the cache
	groupSegments = 4        // of one call to the kernel
)

// streams compares streams with the kernel over the same segments, and two cores with one.
func (r *elementRun) streams() ([]contest, error) {
	b, err := newBareStream()
	if err != nil {
		return nil, err
	}
	sealed, err := r.sealedStream()
	if err != nil {
		return nil, err
	}
	const perGiB = 1e-6 * (1 << 30) / streamBytes // nanoseconds of one operation to milliseconds a GiB
	write := func(workers int) func(int) error {
		return repeat(func() error { return r.writeStream(b.src, workers, io.Discard) })
	}
	read := func(workers int) func(int) error {
		return repeat(func() error { return r.readStream(sealed, workers) })
	}
	return []contest{
		{name: "stream-encrypt", per: perGiB, unit: "ms/GiB", target: atLeast(0.9), coffer: write(1), bare: repeat(b.seal),
			note: "a stream of 16 MiB in writes of 1 MiB, one worker / the bare kernel over the same segments"},
		{name: "stream-decrypt", per: perGiB, unit: "ms/GiB", target: atLeast(0.9), coffer: read(1), bare: repeat(b.open),
			note: "a stream of 16 MiB from memory, one worker / the bare kernel, which need not read it into a buffer"},
		{name: "stream-encrypt/two-workers", per: perGiB, unit: "ms/GiB", target: 0.6, coffer: write(2), bare: write(1),
			note: "two workers / one"},
		{name: "stream-decrypt/two-workers", per: perGiB, unit: "ms/GiB", target: 0.6, coffer: read(2), bare: read(1),
			note: "two workers / one"},
	}, nil
}

func repeat(f func() error) func(int) error {
	return func(n int) (err error) {
		for i := 0; i < n && err == nil; i++ {
			err = f()
		}
		return err
	}
}

func (r *elementRun) writeStream(chunk []byte, workers int, to io.Writer) error {
	w, err := element.NewWriterWith(to, r.c, r.key, nil, element.StreamOptions{Workers: workers})
	if err != nil {
		return err
	}
	defer w.Abort()
	for range streamBytes / len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return w.Close()
}

func (r *elementRun) readStream(sealed []byte, workers int) error {
	rd, err := element.NewReaderWith(bytes.NewReader(sealed), r.c, nil, element.StreamOptions{Workers: workers})
	if err != nil {
		return err
	}
	defer rd.Close()
	_, err = rd.WriteTo(io.Discard)
	return err
}

func (r *elementRun) sealedStream() ([]byte, error) {
	var out bytes.Buffer
	out.Grow(streamBytes + streamBytes/512)
	err := r.writeStream(make([]byte, streamChunk), 1, &out)
	return out.Bytes(), err
}

// A bareStream is the kernel over segments, four at a time.
type bareStream struct {
	gcm              *aes.GCM
	src, dst, sealed []byte
	jobs             [groupSegments]aes.GCMJob
	tags             [][aes.TagSize]byte
}

func newBareStream() (*bareStream, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	g, err := aes.NewGCM(key)
	if err != nil {
		return nil, err
	}
	b := &bareStream{gcm: g, src: make([]byte, streamChunk), dst: make([]byte, groupSegments*segmentBytes), sealed: make([]byte, streamBytes)}
	for at := 0; at < streamBytes; at += len(b.dst) {
		b.set(b.sealed[at:], make([]byte, len(b.dst)), at)
		g.SealBatch(b.jobs[:])
		for i := range b.jobs {
			b.tags = append(b.tags, b.jobs[i].Tag)
		}
	}
	return b, nil
}

// set points the jobs at the segments from an offset of the stream on.
func (b *bareStream) set(dst, src []byte, at int) {
	var ad [24]byte
	for i := range b.jobs {
		j := &b.jobs[i]
		j.Dst, j.Src = dst[i*segmentBytes:][:segmentBytes], src[i*segmentBytes:][:segmentBytes]
		j.AD = ad[:]
		number := at/segmentBytes + i
		j.Nonce = [aes.NonceSize]byte{byte(number), byte(number >> 8)}
	}
}

func (b *bareStream) seal() error {
	for at := 0; at < streamBytes; at += len(b.dst) {
		b.set(b.dst, b.src[at%len(b.src):], at)
		b.gcm.SealBatch(b.jobs[:])
	}
	return nil
}

func (b *bareStream) open() error {
	for at := 0; at < streamBytes; at += len(b.dst) {
		b.set(b.dst, b.sealed[at:], at)
		for i := range b.jobs {
			b.jobs[i].Tag = b.tags[at/segmentBytes+i]
		}
		if !b.gcm.OpenBatch(b.jobs[:]) {
			return errBare
		}
	}
	return nil
}
