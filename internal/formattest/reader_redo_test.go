package formattest

import "errors"

// The operations of FORMAT.md, "Redo records".
const (
	opImage  = 1
	opHole   = 2
	opResize = 3
	opLost   = 4
)

// change is what the journal makes of a block.
type change struct {
	kind  uint64
	image []byte
}

// transaction is operations whose commit has not been seen.
type transaction struct {
	parts uint64
	ops   []operation
}

type operation struct {
	kind, a, b uint64
	data       []byte
}

var errRedo = errors.New("malformed redo record")

// record is FORMAT.md, "Replay".
func (r *replay) record(payload []byte) error {
	rec, ops, err := parseRedo(payload, r.v.bs)
	if err != nil {
		return err
	}
	if rec.num("flags")&1 != 0 {
		r.pending = &transaction{}
	}
	if r.pending == nil {
		return errors.New("a transaction without a beginning")
	}
	r.pending.ops = append(r.pending.ops, ops...)
	if rec.num("kind") == 1 {
		r.pending.parts++
		return nil
	}
	if rec.num("parts") != r.pending.parts {
		return errors.New("a transaction with parts missing")
	}
	for _, op := range r.pending.ops {
		r.v.apply(op)
	}
	r.pending = nil
	return nil
}

func parseRedo(b []byte, bs uint64) (structure, []operation, error) {
	if len(b) < 24 {
		return structure{}, nil, errRedo
	}
	rec := doc.in("redo record", b)
	if rec.check() != nil || rec.num("kind") < 1 || rec.num("kind") > 2 || rec.num("flags") > 3 || rec.num("kind") == 1 && rec.num("parts") != 0 {
		return rec, nil, errRedo
	}
	var ops []operation
	rest := b[24:]
	for range rec.num("operations") {
		if len(rest) < 24 {
			return rec, nil, errRedo
		}
		o := doc.in("redo operation", rest)
		n := o.num("data length")
		op := operation{kind: o.num("kind"), a: o.num("a"), b: o.num("b")}
		if o.check() != nil || n > uint64(len(rest)-24) || op.kind < opImage || op.kind > opLost || (op.kind == opHole) != (op.b != 0) ||
			op.kind == opImage && n != bs || op.kind != opImage && n != 0 {
			return rec, nil, errRedo
		}
		op.data, rest = rest[24:][:n], rest[24+n:]
		ops = append(ops, op)
	}
	if len(rest) != 0 {
		return rec, nil, errRedo
	}
	return rec, ops, nil
}

// apply makes an operation of a committed transaction count.
func (v *volume) apply(op operation) {
	switch op.kind {
	case opImage:
		v.over[op.a] = change{opImage, op.data}
	case opLost:
		v.over[op.a] = change{kind: opLost}
	case opResize:
		v.size = op.a
	case opHole:
		for b := op.a; b < op.a+op.b; b++ {
			v.over[b] = change{kind: opHole}
		}
	}
}
