package element

import (
	stdaes "crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/aes"
	"github.com/cofferdb/coffer/internal/secmem"
)

// cbcEngine is suites aes-cbc-hmac and aes-cbc-unauthenticated: encrypt, then MAC.
type cbcEngine struct {
	cbc     *aes.CBC     // nil where Go's library does the work
	library cipher.Block // nil where the kernels do
	mac     *macKey      // nil: nothing is authenticated
}

var _ engine = (*cbcEngine)(nil)

func newCBCEngine(d deriver) (engine, error) {
	e := &cbcEngine{}
	err := d.with("element cbc", d.key.Len(), func(subkey []byte) (err error) {
		if fips.LibraryOnly() {
			e.library, err = stdaes.NewCipher(subkey)
		} else {
			e.cbc, err = aes.NewCBC(subkey)
		}
		return err
	})
	if err == nil && d.suite == CBC {
		e.mac, err = newMACKey(d, "element mac")
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// tagLen is the length of the tag behind the ciphertext.
func (e *cbcEngine) tagLen() int {
	if e.mac == nil {
		return 0
	}
	return sha256.Size
}

func (e *cbcEngine) bodyLen(n int) int { return aes.BlockSize + n + aes.PadLen(n) + e.tagLen() }

func (e *cbcEngine) fits(n int) error {
	n -= aes.BlockSize + e.tagLen()
	if n < aes.BlockSize || n%aes.BlockSize != 0 {
		return ErrCut
	}
	return nil
}

func (e *cbcEngine) close() {
	e.cbc.Close()
	e.mac.close()
}

func (e *cbcEngine) seal(a binding, body, plaintext []byte) {
	s := cbcScratches.Get().(*cbcScratch)
	defer cbcScratches.Put(s)
	iv, end := body[:aes.BlockSize], len(body)-e.tagLen()
	_, _ = rand.Read(iv) // unpredictable (SP 800-38A, appendix C)
	c := body[aes.BlockSize:end]
	aes.Pad(c[copy(c, plaintext):])
	if e.library != nil {
		cipher.NewCBCEncrypter(e.library, iv).CryptBlocks(c, c)
	} else {
		s.job[0] = aes.Job{Dst: c, Src: c, IV: [aes.BlockSize]byte(iv)}
		e.cbc.EncryptBatch(s.job[:])
		s.job[0] = aes.Job{}
	}
	if e.mac != nil {
		e.mac.sum(s, a, body[:end])
		copy(body[end:], s.tag[:])
	}
}

func (e *cbcEngine) open(a binding, dst, body []byte) ([]byte, bool) {
	s := cbcScratches.Get().(*cbcScratch)
	defer cbcScratches.Put(s)
	end := len(body) - e.tagLen()
	if e.mac != nil {
		e.mac.sum(s, a, body[:end])
		good := subtle.ConstantTimeCompare(s.tag[:], body[end:])
		clear(s.tag[:]) // the right tag of a forged value stays secret
		if good != 1 {
			return dst, false
		}
	}
	iv, c := body[:aes.BlockSize], body[aes.BlockSize:end]
	out := extend(dst, len(c))
	p := out[len(dst):]
	if e.library != nil {
		cipher.NewCBCDecrypter(e.library, iv).CryptBlocks(p, c)
	} else {
		s.job[0] = aes.Job{Dst: p, Src: c, IV: [aes.BlockSize]byte(iv)}
		e.cbc.DecryptBatch(s.job[:])
		s.job[0] = aes.Job{}
	}
	n, ok := aes.Unpad(p)
	if !ok {
		clear(p)
		return dst, false
	}
	clear(p[n:])
	return out[:len(dst)+n], true
}

// A cbcScratch is what one call needs on the heap. No plaintext and no buffer of a caller is left in it.
type cbcScratch struct {
	job    [1]aes.Job
	number [8]byte
	tag    [sha256.Size]byte
}

var cbcScratches = sync.Pool{New: func() any { return new(cbcScratch) }}

// A macKey is HMAC-SHA256 under a subkey. The states of HMAC that are kept lie on Go's heap.
type macKey struct {
	key  *secmem.Buffer
	pool sync.Pool // of hash.Hash, keyed
}

func newMACKey(d deriver, purpose string) (*macKey, error) {
	m := &macKey{}
	err := d.with(purpose, sha256.Size, func(subkey []byte) (err error) {
		m.key, err = secmem.From(subkey)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.pool.New = func() any { return hmac.New(sha256.New, m.key.Bytes()) }
	return m, nil
}

func (m *macKey) close() {
	if m != nil {
		m.key.Release()
		m.pool = sync.Pool{}
	}
}

// sum sets s.tag to the MAC over header, context, and IV with ciphertext.
func (m *macKey) sum(s *cbcScratch, a binding, ivAndCiphertext []byte) {
	binary.LittleEndian.PutUint64(s.number[:], uint64(len(a.context)))
	h := m.pool.Get().(hash.Hash)
	h.Reset()
	h.Write(a.header[:])
	h.Write(s.number[:])
	h.Write(a.context)
	h.Write(ivAndCiphertext)
	h.Sum(s.tag[:0])
	m.pool.Put(h)
}
