package nbd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
)

// errLeft: the client left before the transmission phase, as it may.
var errLeft = errors.New("nbd: the client left")

// option is one option that a client sent.
type option struct {
	code uint32
	data []byte
}

// handshake takes options until the client begins transmission. It reads no
// byte beyond that: what follows STARTTLS is TLS.
func (c *conn) handshake() error {
	hello := be.AppendUint64(nil, magicServer)
	hello = be.AppendUint64(hello, magicOption)
	hello = be.AppendUint16(hello, flagFixedNewstyle|flagNoZeroes)
	if _, err := c.nc.Write(hello); err != nil {
		return err
	}
	var b [4]byte
	if _, err := io.ReadFull(c.nc, b[:]); err != nil {
		return err
	}
	flags := be.Uint32(b[:])
	if flags&^(flagFixedNewstyle|flagNoZeroes) != 0 || flags&flagFixedNewstyle == 0 {
		return fmt.Errorf("%w: client flags %#x", ErrProtocol, flags)
	}
	c.noZeroes = flags&flagNoZeroes != 0
	for {
		o, err := c.readOption()
		if err != nil {
			return err
		}
		begin, err := c.option(o)
		if begin || err != nil {
			return err
		}
	}
}

// readOption reads one option with its data.
func (c *conn) readOption() (option, error) {
	var b [16]byte
	if _, err := io.ReadFull(c.nc, b[:]); err != nil {
		return option{}, err
	}
	if m := be.Uint64(b[:]); m != magicOption {
		return option{}, fmt.Errorf("%w: an option begins with %#x", ErrProtocol, m)
	}
	o, n := option{code: be.Uint32(b[8:])}, be.Uint32(b[12:])
	if n > maxOption {
		return o, fmt.Errorf("%w: option %d with %d bytes of data", ErrProtocol, o.code, n)
	}
	o.data = make([]byte, n)
	_, err := io.ReadFull(c.nc, o.data)
	return o, err
}

// reply answers an option.
func (c *conn) reply(code, kind uint32, data []byte) error {
	b := be.AppendUint64(nil, magicReply)
	b = be.AppendUint32(b, code)
	b = be.AppendUint32(b, kind)
	b = be.AppendUint32(b, uint32(len(data)))
	_, err := c.nc.Write(append(b, data...))
	return err
}

// refuse answers an option with an error and its reason for people.
func (c *conn) refuse(o option, kind uint32, why string) error {
	return c.reply(o.code, kind, []byte(why))
}

// option does one option. begin says that the transmission phase follows.
func (c *conn) option(o option) (begin bool, err error) {
	if c.srv.opts.TLS != nil && !c.secure && o.code != optStartTLS && o.code != optAbort {
		if o.code == optExportName {
			return false, fmt.Errorf("%w: EXPORT_NAME before TLS", ErrProtocol)
		}
		return false, c.refuse(o, repErrTLSReqd, "TLS first")
	}
	switch o.code {
	case optAbort:
		_ = c.reply(o.code, repAck, nil) // it may not wait for it
		return false, errLeft
	case optStartTLS:
		return false, c.startTLS(o)
	case optList:
		return false, c.list(o)
	case optExportName:
		return true, c.exportName(o)
	case optInfo, optGo:
		return c.info(o)
	case optStructuredReply:
		if len(o.data) > 0 {
			return false, c.refuse(o, repErrInvalid, "STRUCTURED_REPLY has no data")
		}
		c.structured = true
		return false, c.reply(o.code, repAck, nil)
	case optListMeta, optSetMeta:
		return false, c.metaContext(o)
	}
	return false, c.refuse(o, repErrUnsup, "unknown option")
}

// startTLS goes on over TLS. Nothing that was negotiated before counts any more,
// since somebody in between may have sent it.
func (c *conn) startTLS(o option) error {
	switch {
	case c.srv.opts.TLS == nil:
		return c.refuse(o, repErrPolicy, "no TLS here")
	case c.secure:
		return c.refuse(o, repErrInvalid, "TLS was begun already")
	case len(o.data) > 0:
		return c.refuse(o, repErrInvalid, "STARTTLS has no data")
	}
	if err := c.reply(o.code, repAck, nil); err != nil {
		return err
	}
	t := tls.Server(c.nc, c.srv.opts.TLS)
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("nbd: TLS: %w", err)
	}
	c.mu.Lock()
	c.nc = t
	c.mu.Unlock()
	c.secure, c.structured, c.context = true, false, nil
	return nil
}

func (c *conn) list(o option) error {
	if len(o.data) > 0 {
		return c.refuse(o, repErrInvalid, "LIST has no data")
	}
	name := c.srv.opts.Name
	b := be.AppendUint32(nil, uint32(len(name)))
	b = append(append(b, name...), c.srv.opts.Description...)
	if err := c.reply(o.code, repServer, b); err != nil {
		return err
	}
	return c.reply(o.code, repAck, nil)
}

// known reports whether a name is the export's.
func (c *conn) known(name string) bool { return name == "" || name == c.srv.opts.Name }

// flags are the transmission flags.
func (c *conn) flags() uint16 {
	f := uint16(sendHasFlags | sendFlush | sendFUA | sendMultiConn | sendCache)
	if c.dev.ReadOnly() {
		f |= sendReadOnly
	} else {
		f |= sendTrim | sendWriteZeroes | sendFastZero
	}
	if c.structured {
		f |= sendDF
	}
	return f
}

// exportName begins transmission the old way, which knows no errors.
func (c *conn) exportName(o option) error {
	if !c.known(string(o.data)) {
		return fmt.Errorf("%w: there is no export of that name", ErrProtocol)
	}
	c.export = string(o.data)
	b := be.AppendUint64(nil, uint64(c.dev.Size()))
	b = be.AppendUint16(b, c.flags())
	if !c.noZeroes {
		b = append(b, make([]byte, 124)...)
	}
	_, err := c.nc.Write(b)
	return err
}

// info does INFO, and GO, which begins transmission.
func (c *conn) info(o option) (begin bool, err error) {
	name, asked, ok := parseGo(o.data)
	switch {
	case !ok:
		return false, c.refuse(o, repErrInvalid, "the data is not as long as it says")
	case !c.known(name):
		return false, c.refuse(o, repErrUnknown, "there is no export of that name")
	}
	b := be.AppendUint16(nil, infoExport)
	b = be.AppendUint64(b, uint64(c.dev.Size()))
	answers := [][]byte{be.AppendUint16(b, c.flags())}
	if slices.Contains(asked, infoName) {
		answers = append(answers, append(be.AppendUint16(nil, infoName), c.srv.opts.Name...))
	}
	if slices.Contains(asked, infoDescription) {
		answers = append(answers, append(be.AppendUint16(nil, infoDescription), c.srv.opts.Description...))
	}
	if slices.Contains(asked, infoBlockSize) {
		b := be.AppendUint16(nil, infoBlockSize)
		b = be.AppendUint32(b, 1) // any offset and length
		b = be.AppendUint32(b, uint32(c.dev.BlockSize()))
		answers = append(answers, be.AppendUint32(b, maxPayload))
	}
	for _, a := range answers {
		if err := c.reply(o.code, repInfo, a); err != nil {
			return false, err
		}
	}
	c.export = name
	return o.code == optGo, c.reply(o.code, repAck, nil)
}

// metaContext lists or selects metadata contexts: there is base:allocation, where the device knows its holes.
func (c *conn) metaContext(o option) error {
	set := o.code == optSetMeta
	if set {
		c.context = nil
	}
	name, queries, ok := parseMeta(o.data)
	switch {
	case !ok:
		return c.refuse(o, repErrInvalid, "the data is not as long as it says")
	case !c.structured:
		return c.refuse(o, repErrInvalid, "STRUCTURED_REPLY first")
	case !c.known(name):
		return c.refuse(o, repErrUnknown, "there is no export of that name")
	case len(queries) > maxQueries:
		return c.refuse(o, repErrTooBig, "too many queries")
	}
	_, maps := c.dev.(Mapper)
	if maps && (anyMatches(queries, set) || !set && len(queries) == 0) {
		id := uint32(0)
		if set {
			id, c.context = contextID, &name
		}
		if err := c.reply(o.code, repMetaContext, append(be.AppendUint32(nil, id), contextAllocation...)); err != nil {
			return err
		}
	}
	return c.reply(o.code, repAck, nil)
}
