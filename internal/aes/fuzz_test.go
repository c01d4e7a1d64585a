package aes

import (
	"bytes"
	"testing"
)

// FuzzModes cuts the input into jobs and wants every tier to agree with the slow way.
func FuzzModes(f *testing.F) {
	f.Add(byte(0), []byte{1, 2, 3}, random(1, 200), false)
	f.Add(byte(1), []byte{40, 0, 7, 7, 7, 31, 32, 33}, random(2, 4000), true)
	f.Add(byte(2), bytes.Repeat([]byte{5}, 33), random(3, 3000), true)
	f.Add(byte(7), bytes.Repeat([]byte{9, 8}, 20), random(4, 6000), false)
	f.Add(byte(14), []byte{255, 1}, random(5, 5000), true)
	f.Fuzz(func(t *testing.T, pick byte, cuts, data []byte, inPlace bool) {
		m, size := modes[int(pick)%len(modes)], keySizes[int(pick)/len(modes)%3]
		raw := random(uint64(pick), 64)
		for _, tier := range Available() {
			restore := Force(tier)
			op, done := m.make(t, raw, size)
			restore()
			if op == nil {
				return
			}
			jobs, want := cut(m, raw, size, cuts, bytes.Clone(data), inPlace)
			op(jobs)
			done()
			for i := range jobs {
				if !bytes.Equal(want[i], jobs[i].Dst) {
					t.Fatalf("%v, %v, %d-byte key: job %d of %d bytes differs", m.name, tier, size, i, len(want[i]))
				}
			}
		}
	})
}

// cut makes jobs of the data, each with as many blocks as the next byte of cuts says, and what is wanted of them.
func cut(m mode, raw []byte, size int, cuts, data []byte, inPlace bool) (jobs []Job, want [][]byte) {
	for i, blocks := range cuts {
		n := min(int(blocks)*BlockSize, len(data)&^15)
		j := Job{Src: data[:n:n], Dst: data[:n:n], IV: [16]byte(random(uint64(i), 16))}
		if !inPlace {
			j.Dst = make([]byte, n)
		}
		jobs, want, data = append(jobs, j), append(want, m.want(raw, size, &j)), data[n:]
	}
	return jobs, want
}
