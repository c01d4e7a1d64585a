package element

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// A keyState is one key in use: its lease and what was derived from it so far.
type keyState struct {
	id    dek.ID
	lease *dek.Lease

	mu     sync.Mutex // held to derive
	suites [suites]atomic.Pointer[suiteState]
	index  atomic.Pointer[indexState]
	digits atomic.Pointer[digitState]
}

// A suiteState is one key under one suite.
type suiteState struct {
	header [headerSize]byte
	engine engine
	kernel *gcmEngine // engine, where it is one
}

func newKeyState(lease *dek.Lease) *keyState { return &keyState{id: lease.ID(), lease: lease} }

// close wipes subkeys and gives the lease back. Nobody uses them any more.
func (k *keyState) close() {
	for i := range k.suites {
		if s := k.suites[i].Swap(nil); s != nil {
			s.engine.close()
		}
	}
	k.index.Swap(nil).close()
	k.digits.Swap(nil).close()
	k.lease.Release()
}

// mayEncrypt refuses keys that only decrypt.
func (k *keyState) mayEncrypt() error {
	if k.lease.Mode() == dek.Active {
		return nil
	}
	return fmt.Errorf("element: key %s: %w", k.id, ErrDecryptOnly)
}

// suite returns the key's state under a suite, which it makes at first use.
func (k *keyState) suite(s Suite) (*suiteState, error) {
	if st := k.suites[s].Load(); st != nil {
		return st, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if st := k.suites[s].Load(); st != nil {
		return st, nil
	}
	st, err := newSuiteState(k.lease.Key(), s)
	if err != nil {
		return nil, err
	}
	k.suites[s].Store(st)
	return st, nil
}

func newSuiteState(key *dek.Key, s Suite) (*suiteState, error) {
	if err := s.Allowed(); err != nil {
		return nil, err
	}
	st := &suiteState{header: newHeader(s, key.ID())}
	d := deriver{key: key, suite: s}
	if err := d.derive("element commitment", st.header[commonSize:]); err != nil {
		return nil, err
	}
	var err error
	st.engine, err = newEngine(d)
	st.kernel, _ = st.engine.(*gcmEngine)
	return st, err
}

// A deriver hands out subkeys of a key: FORMAT.md, "Element subkeys".
type deriver struct {
	key   *dek.Key
	suite Suite  // 0 for what has none
	salt  []byte // nil: the key's ID
}

// domain is that of data elements.
const domain = 5

func (d deriver) info(purpose string) string {
	id := d.key.ID()
	b := append([]byte("coffer/1 "), purpose...)
	b = append(b, 0)
	b = append(b, id[:]...)
	b = binary.LittleEndian.AppendUint32(b, domain)
	b = append(b, uint8(d.suite), uint8(d.key.Len()))
	b = binary.LittleEndian.AppendUint32(b, 0)
	return string(b)
}

// derive fills dst.
func (d deriver) derive(purpose string, dst []byte) error {
	salt := d.salt
	if salt == nil {
		id := d.key.ID()
		salt = id[:]
	}
	if err := d.key.Derive(dst, salt, d.info(purpose)); err != nil {
		return fmt.Errorf("element: %w", err)
	}
	return nil
}

// with derives the n-byte subkey of a purpose, lends it to use, and wipes it.
func (d deriver) with(purpose string, n int, use func(subkey []byte) error) error {
	buf, err := secmem.New(n)
	if err != nil {
		return fmt.Errorf("element: memory for a subkey: %w", err)
	}
	defer buf.Release()
	if err := d.derive(purpose, buf.Bytes()); err != nil {
		return err
	}
	if err := use(buf.Bytes()); err != nil {
		return fmt.Errorf("element: %w", err)
	}
	return nil
}
