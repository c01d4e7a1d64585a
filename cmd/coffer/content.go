package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// contentChunk is read and written at a time, in bytes.
const contentChunk = 1 << 20

func (p *program) catCmd() *cobra.Command {
	var v volumeFlags
	var offset, length byteSize
	c := p.verb("cat VOLUME [--offset N] [--length N]", "Write the content of a volume to standard output", cobra.ExactArgs(1), nil)
	c.Long = `Write the content of a volume to standard output: all of it, or --length bytes
from --offset on. What goes past the end is refused. A block that cannot be read
ends it; what comes before is written by then, and the rest can be had with
another --offset. Nothing in the volume changes, even after a crash.`
	c.RunE = func(cmd *cobra.Command, args []string) error {
		p.began = true
		n := int64(-1)
		if cmd.Flags().Changed("length") {
			n = int64(length)
		}
		return p.withVolume(cmd.Context(), args[0], &v, true, func(s *volume) error {
			return p.cat(cmd.Context(), s, int64(offset), n)
		})
	}
	v.register(c)
	c.Flags().Var(&offset, "offset", "where to begin")
	c.Flags().Var(&length, "length", "how much; else up to the end")
	return c
}

// cat prints length bytes from offset on, or up to the end where length is negative.
func (p *program) cat(ctx context.Context, s *volume, offset, length int64) error {
	size := s.Size()
	if offset > size || (length >= 0 && length > size-offset) {
		return usagef("past the end of the volume, which has %s", count(size, "byte"))
	}
	if length < 0 {
		length = size - offset
	}
	f := s.File()
	buf := make([]byte, contentChunk)
	defer secmem.Wipe(buf)
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(length, contentChunk)]
		n, err := f.ReadAt(b, offset)
		if n < len(b) {
			return fmt.Errorf("read at %d: %w", offset+int64(n), err)
		}
		if _, err := p.stdout.Write(b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

func (p *program) putCmd() *cobra.Command {
	var v volumeFlags
	var offset byteSize
	var grow bool
	c := p.verb("put VOLUME --offset N [--grow] < DATA", "Write standard input into a volume, whole or not at all", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			p.data = true
			v.before = func(info *blockstore.Info, _ *keys) error {
				if info.Clean && int64(offset) > info.Size && !grow {
					return outOfRange(info.Size)
				}
				return nil
			}
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error {
				return p.put(ctx, s, int64(offset), grow)
			})
		})
	c.Long = `Write all of standard input into a volume, from --offset on, in one transaction:
after an interruption, a power cut or an error either everything is there or
nothing. It is durable when the command ends. Data that goes past the end is
refused unless --grow is given. Since standard input is the data, a password is
asked for on the terminal itself.`
	v.register(c)
	v.registerDiscard(c)
	c.Flags().Var(&offset, "offset", "where to write")
	_ = c.MarkFlagRequired("offset") // fails only for an unknown flag
	c.Flags().BoolVar(&grow, "grow", false, "let the volume grow where the data goes past its end")
	return c
}

// put writes all of standard input in one transaction.
func (p *program) put(ctx context.Context, s *volume, offset int64, grow bool) error {
	if offset > s.Size() && !grow {
		return outOfRange(s.Size())
	}
	return s.Update(func(tx *blockstore.Tx) error {
		w := &txWriter{tx: tx, block: int64(s.BlockSize()), off: offset, grow: grow}
		buf := make([]byte, contentChunk)
		defer secmem.Wipe(buf)
		for {
			n, err := await(ctx, func() (int, error) { return io.ReadFull(p.stdin, buf) })
			if n > 0 {
				if err := w.write(buf[:n]); err != nil {
					return err
				}
			}
			switch {
			case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
				return nil
			case err != nil:
				return fmt.Errorf("read: %w", err)
			}
		}
	})
}

func outOfRange(size int64) error {
	return fault.Hint(usagef("past the end of the volume, which has %s", count(size, "byte")), "--grow lets the volume grow.")
}

// txWriter writes a stream at byte offsets through whole blocks.
type txWriter struct {
	tx    *blockstore.Tx
	block int64 // bytes
	off   int64 // of the next byte
	grow  bool
}

func (w *txWriter) write(p []byte) error {
	if end := w.off + int64(len(p)); end > w.tx.Size() {
		if !w.grow {
			return outOfRange(w.tx.Size())
		}
		if err := w.tx.Resize(end); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		n, at := w.off/w.block, w.off%w.block
		part := p[:min(int64(len(p)), w.block-at)]
		if err := w.merge(uint64(n), at, part); err != nil {
			return err
		}
		p, w.off = p[len(part):], w.off+int64(len(part))
	}
	return nil
}

// merge changes a part of one block.
func (w *txWriter) merge(block uint64, at int64, part []byte) error {
	if int64(len(part)) == w.block {
		return w.tx.Write(block, part)
	}
	old, err := w.tx.Read(block)
	if err != nil {
		return err
	}
	whole := append(make([]byte, 0, w.block), old...)
	defer secmem.Wipe(whole)
	copy(whole[at:], part)
	return w.tx.Write(block, whole)
}
