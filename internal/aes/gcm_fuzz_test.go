package aes

import (
	"bytes"
	"testing"
)

// FuzzGCM cuts the input into messages with additional data and wants every tier to
// agree with Go's library, and to refuse what was altered.
func FuzzGCM(f *testing.F) {
	f.Add(byte(0), []byte{1, 2, 3, 64}, random(1, 300), false)
	f.Add(byte(1), []byte{40, 0, 0, 7, 7, 31, 32, 33}, random(2, 4000), true)
	f.Add(byte(2), bytes.Repeat([]byte{128, 64}, 9), random(3, 4000), true)
	f.Add(byte(2), []byte{200, 255, 255, 1}, random(4, 2500), false)
	f.Fuzz(func(t *testing.T, pick byte, cuts, data []byte, inPlace bool) {
		raw := random(uint64(pick), keySizes[int(pick)%3])
		for _, tier := range Available() {
			restore := Force(tier)
			g, want := newGCMs(t, raw)
			restore()
			jobs := cutGCM(cuts, bytes.Clone(data), inPlace)
			plain, out := make([][]byte, len(jobs)), make([][]byte, len(jobs))
			for i := range jobs {
				plain[i] = bytes.Clone(jobs[i].Src)
				out[i] = want.Seal(nil, jobs[i].Nonce[:], jobs[i].Src, jobs[i].AD)
			}
			g.SealBatch(jobs)
			for i := range jobs {
				if !bytes.Equal(out[i], append(bytes.Clone(jobs[i].Dst), jobs[i].Tag[:]...)) {
					t.Fatalf("%v, %d-byte key: message %d of %d bytes differs", tier, len(raw), i, len(plain[i]))
				}
				jobs[i].Src = jobs[i].Dst
			}
			if len(jobs) > 0 {
				jobs[len(jobs)-1].Tag[int(pick)%TagSize] ^= 1 + pick
			}
			altered := len(jobs) > 0 && 1+pick != 0
			if g.OpenBatch(jobs) == altered {
				t.Fatalf("%v, %d-byte key: wrong result for the batch", tier, len(raw))
			}
			for i := range jobs {
				forged := altered && i == len(jobs)-1
				if forged {
					clear(plain[i])
				}
				if jobs[i].OK == forged || !bytes.Equal(plain[i], jobs[i].Dst) {
					t.Fatalf("%v, %d-byte key: message %d of %d bytes opened wrongly", tier, len(raw), i, len(plain[i]))
				}
			}
			g.Close()
		}
	})
}

// cutGCM makes messages of the data, two bytes of cuts for each: length in units of 5 bytes, length of additional data.
func cutGCM(cuts, data []byte, inPlace bool) (jobs []GCMJob) {
	for i := 0; i+1 < len(cuts); i += 2 {
		n := min(int(cuts[i])*5, len(data))
		j := GCMJob{Src: data[:n:n], Dst: data[:n:n], AD: random(uint64(i), int(cuts[i+1]))}
		copy(j.Nonce[:], random(uint64(i), NonceSize))
		if !inPlace {
			j.Dst = make([]byte, n)
		}
		jobs, data = append(jobs, j), data[n:]
	}
	return jobs
}

// FuzzGMAC wants every tier to agree with Go's library, wherever the additional data ends.
func FuzzGMAC(f *testing.F) {
	f.Add(byte(0), 0, []byte(nil))
	f.Add(byte(1), 64, random(1, 8256))
	f.Add(byte(2), 13, random(2, 1000))
	f.Fuzz(func(t *testing.T, pick byte, cut int, data []byte) {
		cut = min(max(cut, 0), len(data))
		raw := random(uint64(pick), keySizes[int(pick)%3])
		for _, tier := range Available() {
			restore := Force(tier)
			_, want := newGCMs(t, raw)
			m, err := NewGMAC(raw)
			restore()
			if err != nil {
				t.Fatal(err)
			}
			jobs := []GMACJob{{AD: data[:cut], Data: data[cut:]}, {Data: data, Nonce: [NonceSize]byte{1}}}
			m.SumBatch(jobs)
			for i := range jobs {
				if !bytes.Equal(want.Seal(nil, jobs[i].Nonce[:], nil, data), jobs[i].Tag[:]) {
					t.Fatalf("%v, %d-byte key: tag %d of %d bytes, cut at %d, differs", tier, len(raw), i, len(data), cut)
				}
			}
			m.Close()
		}
	})
}
