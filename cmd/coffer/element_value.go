package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// value does one value.
func (r *elementRun) value(ctx context.Context) error {
	in, err := r.p.readValue(ctx, &r.o.source)
	if err != nil {
		return err
	}
	defer secmem.Wipe(in)
	if len(in) == 0 && r.o.empty {
		return nil
	}
	out, err := r.convert(in, []byte(r.o.context))
	if err != nil {
		return err
	}
	defer secmem.Wipe(out)
	return r.p.writing(&r.o.source, func(w io.Writer) error {
		if _, err := w.Write(out); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	})
}

// convert does one value that stands alone.
func (r *elementRun) convert(in, context []byte) ([]byte, error) {
	if r.op == retable.Encrypt {
		sealed, err := r.keys.EncryptWith(r.suite, in, r.key, context)
		if err != nil || r.o.binary {
			return sealed, err
		}
		return append(element.AppendText(nil, sealed), '\n'), nil
	}
	sealed, text, err := sealedIn(in)
	if err != nil {
		return nil, err
	}
	if r.op == retable.Decrypt {
		return r.keys.Decrypt(sealed, context)
	}
	out, err := r.keys.Rekey(sealed, r.key, context)
	if err != nil || !text {
		return out, err
	}
	return append(element.AppendText(nil, out), '\n'), nil
}

// whiteSpace is what is dropped behind a text form.
const whiteSpace = " \t\r\n\v\f"

// sealedIn returns the binary form of a value in either form, and whether it was
// the text form.
func sealedIn(in []byte) (sealed []byte, text bool, err error) {
	if !element.IsText(in) {
		return in, false, nil
	}
	sealed, err = element.DecodeText(bytes.TrimRight(in, whiteSpace))
	return sealed, true, err
}

// explainElement says what to do about a value that cannot be decrypted, in the
// command's own words.
func explainElement(err error) error {
	switch {
	case errors.Is(err, element.ErrUnauthenticated):
		return fault.Hint(err, "--allow-unauthenticated accepts it, if whoever can write such values is trusted.")
	case errors.Is(err, fault.Tampered) && !errors.Is(err, fault.WrongKey):
		return fault.Hint(err, "Is --context what it was encrypted with? The two cases cannot be told apart.")
	}
	return err
}

// stream does one stream.
func (r *elementRun) stream(ctx context.Context) error {
	in, done, err := r.p.reader(ctx, &r.o.source)
	if err != nil {
		return err
	}
	defer done()
	return r.p.writing(&r.o.source, func(w io.Writer) error {
		if r.op == retable.Encrypt {
			return r.sealStream(w, in)
		}
		return r.openStream(w, in)
	})
}

func (r *elementRun) sealStream(out io.Writer, in io.Reader) error {
	w, err := element.NewWriter(out, r.keys.cipher, r.key, []byte(r.o.context))
	if err != nil {
		return err
	}
	defer w.Abort() // does nothing once it is closed
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return w.Close()
}

// openStream decrypts or re-keys a stream. What comes out before an error is
// authentic.
func (r *elementRun) openStream(out io.Writer, in io.Reader) error {
	buffered := bufio.NewReaderSize(in, 1<<16)
	header, err := buffered.Peek(element.HeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	}
	if err := r.keys.needOf(header); err != nil {
		return err
	}
	context := []byte(r.o.context)
	if r.op == retable.Rekey {
		_, err = element.RekeyStream(out, buffered, r.keys.cipher, r.key, context)
		return explainElement(err)
	}
	s, err := element.NewReader(buffered, r.keys.cipher, context)
	if err != nil {
		return explainElement(err)
	}
	defer s.Close()
	_, err = io.Copy(out, s)
	return explainElement(err)
}
