package aes

import (
	"bytes"
	"hash/crc32"
	"testing"
)

// FuzzETM cuts the input into messages with additional data and wants every tier to agree
// with Go's library and the slow XTS, and to refuse what was altered.
func FuzzETM(f *testing.F) {
	f.Add(byte(0), []byte{1, 2, 3, 64}, random(1, 300), false)
	f.Add(byte(1), []byte{40, 64, 0, 7, 31, 16, 32, 32}, random(2, 4000), true)
	f.Add(byte(4), bytes.Repeat([]byte{64, 64}, 5), random(3, 5200), true)
	f.Add(byte(5), []byte{200, 255, 33, 1}, random(4, 4500), false)
	f.Fuzz(func(t *testing.T, pick byte, cuts, data []byte, inPlace bool) {
		suite, size := etms[int(pick)%len(etms)], keySizes[int(pick)/len(etms)%3]
		for _, tier := range Available() {
			restore := Force(tier)
			c := newETM(t, suite, random(uint64(pick), 96), size)
			restore()
			if c == nil {
				return
			}
			jobs := cutMAC(cuts, bytes.Clone(data), inPlace)
			plain := make([][]byte, len(jobs))
			want, tags := make([][]byte, len(jobs)), make([][]byte, len(jobs))
			for i := range jobs {
				plain[i] = bytes.Clone(jobs[i].Src)
				want[i], tags[i] = c.want(&jobs[i])
			}
			c.SealBatch(jobs)
			for i := range jobs {
				j := &jobs[i]
				summed := suite.name != "xts" || j.CRC == crc32.Checksum(want[i], castagnoli)
				if !summed || !bytes.Equal(want[i], j.Dst) || !bytes.Equal(tags[i], j.Tag[:]) {
					t.Fatalf("%v, %v, %d-byte key: message %d of %d bytes differs", suite.name, tier, size, i, len(plain[i]))
				}
				j.Src = j.Dst
			}
			forged := -1
			if len(jobs) > 0 && 1+pick != 0 {
				forged = len(jobs) - 1
				jobs[forged].Tag[int(pick)%TagSize] ^= 1 + pick
				clear(plain[forged])
			}
			if c.OpenBatch(jobs) != (forged < 0) {
				t.Fatalf("%v, %v, %d-byte key: wrong result for the batch", suite.name, tier, size)
			}
			for i := range jobs {
				if jobs[i].OK == (i == forged) || !bytes.Equal(plain[i], jobs[i].Dst) {
					t.Fatalf("%v, %v, %d-byte key: message %d of %d bytes opened wrongly", suite.name, tier, size, i, len(plain[i]))
				}
			}
			c.Close()
		}
	})
}

// cutMAC makes messages of the data, two bytes of cuts for each: length in blocks, length of additional data.
func cutMAC(cuts, data []byte, inPlace bool) (jobs []MACJob) {
	for i := 0; i+1 < len(cuts); i += 2 {
		n := min(int(cuts[i])*BlockSize, len(data)&^15)
		j := MACJob{Src: data[:n:n], Dst: data[:n:n], AD: random(uint64(i), int(cuts[i+1])), IV: [16]byte(random(uint64(i), 16))}
		copy(j.Nonce[:], random(uint64(i), NonceSize))
		if !inPlace {
			j.Dst = make([]byte, n)
		}
		jobs, data = append(jobs, j), data[n:]
	}
	return jobs
}
