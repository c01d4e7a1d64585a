package bench

import (
	"github.com/cofferdb/coffer/internal/aes"
)

// coffer makes the task of an item on a tier of internal/aes.
func coffer(a *arena, it *item, tier aes.Tier) (t task, err error) {
	defer aes.Force(tier)()
	op, n := operations[it.Op], it.Bits/8
	jobs := make([]aes.Job, it.Batch)
	for i := range jobs {
		jobs[i].Dst, jobs[i].Src = a.block(i, it.BlockSize)
		copy(jobs[i].IV[:], a.nonces[i][:])
	}
	var batch func([]aes.Job)
	switch op.mode {
	case "gcm":
		return cofferGCM(a, it, op.decrypt)
	case "cbc":
		c, err := aes.NewCBC(a.keys[:n])
		if err != nil {
			return t, err
		}
		batch, t.release = c.EncryptBatch, c.Close
		if op.decrypt {
			batch = c.DecryptBatch
		}
	case "xts":
		for i := range jobs { // the tweak is a number, as x/crypto has it
			jobs[i].IV = [aes.BlockSize]byte{byte(i)}
		}
		c, err := aes.NewXTS(a.keys[:n], a.keys[32:32+n])
		if err != nil {
			return t, err
		}
		batch, t.release = c.EncryptBatch, c.Close
		if op.decrypt {
			batch = c.DecryptBatch
		}
	}
	t.run = func() { batch(jobs) }
	return t, nil
}

func cofferGCM(a *arena, it *item, open bool) (t task, err error) {
	g, err := aes.NewGCM(a.keys[:it.Bits/8])
	if err != nil {
		return t, err
	}
	jobs := make([]aes.GCMJob, it.Batch)
	for i := range jobs {
		jobs[i].Dst, jobs[i].Src = a.block(i, it.BlockSize)
		jobs[i].AD, jobs[i].Nonce = a.ad, a.nonces[i]
	}
	t = task{func() { g.SealBatch(jobs) }, g.Close}
	if open {
		g.SealBatch(jobs)
		for i := range jobs {
			copy(jobs[i].Src, jobs[i].Dst)
		}
		t.run = func() {
			if !g.OpenBatch(jobs) {
				panic("bench: a kernel refuses what it sealed")
			}
		}
	}
	return t, nil
}
