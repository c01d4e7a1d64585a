package nbdclient

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

var be = binary.BigEndian

// Options of a connection. The zero value asks for the default export with simple replies.
type Options struct {
	Export     string
	TLS        *tls.Config // STARTTLS first
	Structured bool        // structured replies and base:allocation
	ExportName bool        // begin with EXPORT_NAME, as old clients do
}

// Info is what the server says of an export.
type Info struct {
	Size                      int64
	Flags                     uint16
	Name, Description         string
	MinBlock, Preferred, Most uint32
	Allocation                bool // base:allocation was selected
}

// OptionError is a server's refusal of an option.
type OptionError struct {
	Option, Reply uint32
	Text          string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("nbdclient: option %d refused with %d: %s", e.Option, e.Reply-1<<31, e.Text)
}

// Dial connects and begins transmission.
func Dial(network, address string, o Options) (*Client, error) {
	nc, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	c, err := Begin(nc, o)
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return c, nil
}

// Begin does the handshake over a connection that is there.
func Begin(nc net.Conn, o Options) (*Client, error) {
	h := &Handshake{Conn: nc}
	if err := h.Hello(); err != nil {
		return nil, err
	}
	if o.TLS != nil {
		if err := h.StartTLS(o.TLS); err != nil {
			return nil, err
		}
	}
	var info Info
	if o.Structured {
		if _, err := h.Option(8, nil); err != nil {
			return nil, err
		}
		b := text(nil, o.Export)
		replies, err := h.Option(10, text(be.AppendUint32(b, 1), "base:allocation"))
		if err != nil {
			return nil, err
		}
		info.Allocation = len(replies) == 1
	}
	if err := h.enter(o, &info); err != nil {
		return nil, err
	}
	return newClient(h.Conn, o.Structured, info), nil
}

// Handshake is a connection before transmission.
type Handshake struct{ Conn net.Conn }

// Hello answers the server's greeting.
func (h *Handshake) Hello() error {
	var b [18]byte
	if _, err := io.ReadFull(h.Conn, b[:]); err != nil {
		return err
	}
	if string(b[:16]) != "NBDMAGICIHAVEOPT" || be.Uint16(b[16:]) != 3 {
		return fmt.Errorf("nbdclient: the server greets with %x", b)
	}
	_, err := h.Conn.Write([]byte{0, 0, 0, 3})
	return err
}

// Send sends an option and waits for no answer.
func (h *Handshake) Send(code uint32, data []byte) error {
	b := be.AppendUint32([]byte("IHAVEOPT"), code)
	_, err := h.Conn.Write(append(be.AppendUint32(b, uint32(len(data))), data...))
	return err
}

// Reply is one reply to an option.
type Reply struct {
	Kind uint32
	Data []byte
}

// Option sends an option and returns the replies before the acknowledgement.
func (h *Handshake) Option(code uint32, data []byte) (replies []Reply, err error) {
	if err := h.Send(code, data); err != nil {
		return nil, err
	}
	for {
		var b [20]byte
		if _, err := io.ReadFull(h.Conn, b[:]); err != nil {
			return nil, err
		}
		if be.Uint64(b[:]) != 0x3e889045565a9 || be.Uint32(b[8:]) != code {
			return nil, fmt.Errorf("nbdclient: to option %d the server replies %x", code, b)
		}
		r := Reply{be.Uint32(b[12:]), make([]byte, be.Uint32(b[16:]))}
		if _, err := io.ReadFull(h.Conn, r.Data); err != nil {
			return nil, err
		}
		switch {
		case r.Kind == 1:
			return replies, nil
		case r.Kind&(1<<31) != 0:
			return replies, &OptionError{code, r.Kind, string(r.Data)}
		}
		replies = append(replies, r)
	}
}

// StartTLS goes on over TLS.
func (h *Handshake) StartTLS(config *tls.Config) error {
	if _, err := h.Option(5, nil); err != nil {
		return err
	}
	t := tls.Client(h.Conn, config)
	if err := t.Handshake(); err != nil {
		return err
	}
	h.Conn = t
	return nil
}

func text(b []byte, s string) []byte { return append(be.AppendUint32(b, uint32(len(s))), s...) }

func (h *Handshake) enter(o Options, info *Info) error {
	if o.ExportName {
		if err := h.Send(1, []byte(o.Export)); err != nil {
			return err
		}
		var b [10]byte
		_, err := io.ReadFull(h.Conn, b[:])
		info.Size, info.Flags = int64(be.Uint64(b[:])), be.Uint16(b[8:])
		return err
	}
	replies, err := h.Option(7, AskAll(o.Export))
	if err != nil {
		return err
	}
	return info.Fill(replies)
}

// AskAll is the data of INFO and GO that asks for everything.
func AskAll(export string) []byte {
	b := text(nil, export)
	for _, n := range []uint16{3, 1, 2, 3} { // the number, then the kinds
		b = be.AppendUint16(b, n)
	}
	return b
}

// Fill takes the replies to INFO or GO.
func (i *Info) Fill(replies []Reply) error {
	seen := false
	for _, r := range replies {
		if r.Kind != 3 || len(r.Data) < 2 {
			return fmt.Errorf("nbdclient: the server replies with kind %d", r.Kind)
		}
		kind, d := be.Uint16(r.Data), r.Data[2:]
		switch {
		case kind == 0 && len(d) == 10:
			i.Size, i.Flags, seen = int64(be.Uint64(d)), be.Uint16(d[8:]), true
		case kind == 1:
			i.Name = string(d)
		case kind == 2:
			i.Description = string(d)
		case kind == 3 && len(d) == 12:
			i.MinBlock, i.Preferred, i.Most = be.Uint32(d), be.Uint32(d[4:]), be.Uint32(d[8:])
		default:
			return fmt.Errorf("nbdclient: information %d of %d bytes", kind, len(d))
		}
	}
	if !seen {
		return errors.New("nbdclient: the server says nothing of the export")
	}
	return nil
}
