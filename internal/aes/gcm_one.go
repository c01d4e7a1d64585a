package aes

import "sync"

// SealOne encrypts one message, as SealBatch does a batch, and sets tag. It is for
// small messages: ad, nonce and tag may lie on the caller's stack.
func (g *GCM) SealOne(dst, src, ad []byte, nonce *[NonceSize]byte, tag *[TagSize]byte) {
	if g.key.tier == Portable {
		p := oneJob(dst, src, ad, nonce)
		g.SealBatch(p.job[:])
		*tag = p.job[0].Tag
		p.end()
		return
	}
	var jobs [1]GCMJob // field by field: a literal would be made apart and copied
	jobs[0].Dst, jobs[0].Src, jobs[0].AD, jobs[0].Nonce = dst, src, ad, *nonce
	checkGCM(jobs[:])
	g.sealAsm(jobs[:])
	*tag = jobs[0].Tag
}

// OpenOne decrypts one message, as OpenBatch does a batch, and reports whether it is
// authentic; if not, dst is zeros.
func (g *GCM) OpenOne(dst, src, ad []byte, nonce *[NonceSize]byte, tag *[TagSize]byte) (ok bool) {
	if g.key.tier == Portable {
		p := oneJob(dst, src, ad, nonce)
		p.job[0].Tag = *tag
		ok = g.OpenBatch(p.job[:])
		p.end()
		return ok
	}
	var jobs [1]GCMJob // field by field: a literal would be made apart and copied
	jobs[0].Dst, jobs[0].Src, jobs[0].AD, jobs[0].Nonce = dst, src, ad, *nonce
	checkGCM(jobs[:])
	var right [TagSize]byte
	g.openTags(jobs[:], &right)
	ok = sameTag(&right, tag)
	if !ok {
		clear(right[:]) // the right tag of a forged message stays secret
		clear(dst)
	}
	return ok
}

// A portableOne is a batch of one message on the heap, where Go's library wants it.
type portableOne struct {
	job [1]GCMJob
	ad  []byte
}

var portableOnes = sync.Pool{New: func() any { return new(portableOne) }}

func oneJob(dst, src, ad []byte, nonce *[NonceSize]byte) *portableOne {
	p := portableOnes.Get().(*portableOne)
	p.ad = append(p.ad[:0], ad...)
	p.job[0] = GCMJob{Dst: dst, Src: src, AD: p.ad, Nonce: *nonce}
	return p
}

func (p *portableOne) end() {
	p.job[0] = GCMJob{}
	portableOnes.Put(p)
}
