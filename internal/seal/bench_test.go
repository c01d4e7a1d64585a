package seal

import (
	"crypto/aes"
	"fmt"
	"testing"

	"golang.org/x/crypto/xts"
)

// benchBatch is how many blocks a benchmark hands over at once.
const benchBatch = 64

var benchSizes = []int{4096, 8192, 65536}

// BenchmarkCopy is the baseline of the others: a plain copy of the batch.
func BenchmarkCopy(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			batch, _ := plainBatch(benchBatch, size, false)
			measure(b, size, func() error {
				for i := range batch {
					copy(batch[i].Dst, batch[i].Src)
				}
				return nil
			})
		})
	}
}

// BenchmarkSeal seals batches; suite none is among the suites.
func BenchmarkSeal(b *testing.B) {
	benchEach(b, func(b *testing.B, c Cipher, size int) {
		batch, _ := plainBatch(benchBatch, size, false)
		measure(b, size, func() error { return c.Seal(batch) })
	})
}

// BenchmarkOpen opens batches.
func BenchmarkOpen(b *testing.B) {
	benchEach(b, func(b *testing.B, c Cipher, size int) {
		batch, _ := plainBatch(benchBatch, size, false)
		if err := c.Seal(batch); err != nil {
			b.Fatal(err)
		}
		turn(batch, false)
		measure(b, size, func() error { return c.Open(batch) })
	})
}

func benchEach(b *testing.B, run func(b *testing.B, c Cipher, size int)) {
	for _, v := range variants() {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("suite=%v/bits=%d/size=%d", v.suite, v.bits, size), func(b *testing.B) {
				run(b, newCipher(b, v, testScope(v)), size)
			})
		}
	}
}

func measure(b *testing.B, size int, do func() error) {
	b.SetBytes(int64(benchBatch * size))
	b.ReportAllocs()
	for b.Loop() {
		if err := do(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFrame seals one frame of one image; bits=0 is a plain frame.
func BenchmarkFrame(b *testing.B) {
	for _, bits := range frameBits {
		b.Run(fmt.Sprintf("bits=%d/size=8192", bits), func(b *testing.B) {
			c := newTestFrame(b, bits)
			plain, ad, dst := random(1, 8192), random(2, 64), make([]byte, 0, 8192)
			b.SetBytes(8192)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := c.Seal(dst, plain, ad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew derives and expands the subkeys of a cipher.
func BenchmarkNew(b *testing.B) {
	for _, v := range variants() {
		b.Run(fmt.Sprintf("suite=%v/bits=%d", v.suite, v.bits), func(b *testing.B) {
			sc := testScope(v)
			key := testKey(b, sc.Key, 1, v.bits)
			b.ReportAllocs()
			for b.Loop() {
				c, err := New(v.suite, key, sc)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

// BenchmarkXTS is the raw mode beside golang.org/x/crypto/xts.
func BenchmarkXTS(b *testing.B) {
	key, data := random(1, 64), random(2, 8192)
	dst := make([]byte, len(data))
	ours, err := NewRawXTS(key[:32], key[32:])
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := xts.NewCipher(aes.NewCipher, key)
	if err != nil {
		b.Fatal(err)
	}
	s := &xtsScratch{}
	for name, do := range map[string]func(){
		"impl=coffer":   func() { ours.crypt(s, dst, data, xtsTweak(7), false) },
		"impl=x/crypto": func() { theirs.Encrypt(dst, data, 7) },
	} {
		b.Run(name+"/bits=256/size=8192", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}
