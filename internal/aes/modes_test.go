package aes

import (
	"bytes"
	stdaes "crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/stretchr/testify/require"
)

// A mode is one operation on batches, and the same by other means, one job at a time.
type mode struct {
	name string
	// make returns the operation under a key made of raw, 64 bytes, with a key size in bytes; nil when the mode has no such size.
	make func(t testing.TB, raw []byte, size int) (op func([]Job), done func())
	want func(raw []byte, size int, j *Job) []byte
}

func xtsOf(t testing.TB, raw []byte, size int) *XTS {
	x, err := NewXTS(raw[:size], raw[32:32+size])
	require.NoError(t, err)
	return x
}

func cbcOf(t testing.TB, raw []byte, size int) *CBC {
	c, err := NewCBC(raw[:size])
	require.NoError(t, err)
	return c
}

func block(raw []byte) cipher.Block {
	b, err := stdaes.NewCipher(raw)
	if err != nil {
		panic(err)
	}
	return b
}

var modes = []mode{
	{"cbc-encrypt", func(t testing.TB, raw []byte, size int) (func([]Job), func()) {
		c := cbcOf(t, raw, size)
		return c.EncryptBatch, c.Close
	}, func(raw []byte, size int, j *Job) []byte {
		out := make([]byte, len(j.Src))
		cipher.NewCBCEncrypter(block(raw[:size]), j.IV[:]).CryptBlocks(out, j.Src)
		return out
	}},
	{"cbc-decrypt", func(t testing.TB, raw []byte, size int) (func([]Job), func()) {
		c := cbcOf(t, raw, size)
		return c.DecryptBatch, c.Close
	}, func(raw []byte, size int, j *Job) []byte {
		out := make([]byte, len(j.Src))
		cipher.NewCBCDecrypter(block(raw[:size]), j.IV[:]).CryptBlocks(out, j.Src)
		return out
	}},
	{"xts-encrypt", func(t testing.TB, raw []byte, size int) (func([]Job), func()) {
		if size == 24 {
			return nil, nil
		}
		x := xtsOf(t, raw, size)
		return x.EncryptBatch, x.Close
	}, func(raw []byte, size int, j *Job) []byte { return slowXTS(raw, size, j, false) }},
	{"xts-decrypt", func(t testing.TB, raw []byte, size int) (func([]Job), func()) {
		if size == 24 {
			return nil, nil
		}
		x := xtsOf(t, raw, size)
		return x.DecryptBatch, x.Close
	}, func(raw []byte, size int, j *Job) []byte { return slowXTS(raw, size, j, true) }},
	{"ctr", func(t testing.TB, raw []byte, size int) (func([]Job), func()) {
		c, err := NewCTR(raw[:size])
		require.NoError(t, err)
		return c.XORBatch, c.Close
	}, func(raw []byte, size int, j *Job) []byte {
		out := make([]byte, len(j.Src))
		cipher.NewCTR(block(raw[:size]), j.IV[:]).XORKeyStream(out, j.Src)
		return out
	}},
}

// slowXTS is IEEE 1619's definition, block by block, its tweak doubled byte by byte.
func slowXTS(raw []byte, size int, j *Job, decrypt bool) []byte {
	data, tweak := block(raw[:size]), block(raw[32:32+size])
	tw, out := make([]byte, 16), bytes.Clone(j.Src)
	tweak.Encrypt(tw, j.IV[:])
	for b := out; len(b) > 0; b = b[16:] {
		for i := range tw {
			b[i] ^= tw[i]
		}
		if decrypt {
			data.Decrypt(b, b)
		} else {
			data.Encrypt(b, b)
		}
		carry := byte(0)
		for i := range tw {
			b[i] ^= tw[i]
			tw[i], carry = tw[i]<<1|carry, tw[i]>>7
		}
		tw[0] ^= carry * 0x87
	}
	return out
}

// forModes runs f for each mode, tier and key size.
func forModes(t *testing.T, f func(t *testing.T, m mode, raw []byte, size int, op func([]Job))) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			tiers(t, func(t *testing.T, _ Tier) {
				for _, size := range keySizes {
					raw := random(uint64(size), 64)
					if op, done := m.make(t, raw, size); op != nil {
						f(t, m, raw, size, op)
						done()
					}
				}
			})
		})
	}
}

// check runs a batch, in place or not, and wants what the slow way gives. What lies around the buffers must not change.
func check(t *testing.T, m mode, raw []byte, size int, op func([]Job), lengths []int, inPlace bool, align int) {
	t.Helper()
	const fence = 64
	jobs, memory, want := make([]Job, len(lengths)), make([][2][]byte, len(lengths)), make([][]byte, len(lengths))
	for i, n := range lengths {
		src := random(uint64(i*1000+n), n+2*fence+align)
		dst := random(uint64(i*1000+n+1), n+2*fence+align)
		if inPlace {
			dst = src
		}
		memory[i] = [2][]byte{src, dst}
		at := fence + align
		jobs[i] = Job{Src: src[at : at+n], Dst: dst[at : at+n], IV: [16]byte(random(uint64(i), 16))}
		want[i] = bytes.Clone(dst)
		copy(want[i][at:], m.want(raw, size, &jobs[i]))
	}
	before := make([][]byte, len(lengths))
	ivs := make([][16]byte, len(lengths))
	for i := range jobs {
		before[i], ivs[i] = bytes.Clone(memory[i][0]), jobs[i].IV
	}
	op(jobs)
	for i := range jobs {
		require.True(t, bytes.Equal(want[i], memory[i][1]), "job %d of %v, %d-byte key, in place %v", i, lengths, size, inPlace)
		require.Equal(t, ivs[i], jobs[i].IV)
		if !inPlace {
			require.True(t, bytes.Equal(before[i], memory[i][0]), "job %d: the source changed", i)
		}
	}
}

func TestLengths(t *testing.T) {
	forModes(t, func(t *testing.T, m mode, raw []byte, size int, op func([]Job)) {
		most := 8192
		if testing.Short() {
			most = 1024
		}
		for n := 0; n <= most; n += 16 {
			check(t, m, raw, size, op, []int{n}, n%32 == 0, 0)
		}
		for _, n := range []int{16384, 65536, 1<<20 - 16, 1 << 20} {
			check(t, m, raw, size, op, []int{n}, true, 0)
		}
	})
}

func TestBatches(t *testing.T) {
	forModes(t, func(t *testing.T, m mode, raw []byte, size int, op func([]Job)) {
		for n := range 41 {
			even, ragged := make([]int, n), make([]int, n)
			for i := range n {
				even[i] = 320
				ragged[i] = 16 * ((i*37 + n*5) % 61)
			}
			check(t, m, raw, size, op, even, n%2 == 0, 0)
			check(t, m, raw, size, op, ragged, n%2 == 1, 0)
		}
	})
}

func TestAlignments(t *testing.T) {
	forModes(t, func(t *testing.T, m mode, raw []byte, size int, op func([]Job)) {
		for align := range 64 {
			lengths := []int{1024, 512 + 16*(align%32), 48}
			if align%8 == 0 {
				for len(lengths) < 32 {
					lengths = append(lengths, 256)
				}
			}
			check(t, m, raw, size, op, lengths, false, align)
			check(t, m, raw, size, op, lengths, true, align)
		}
	})
}
