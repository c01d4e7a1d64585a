//go:build purego || !amd64

package aes

// A hashKey is for kernels only.
type hashKey struct{}

func newHashKey(*Key) (*hashKey, error)        { panic(unreachable) }
func (*hashKey) close()                        {}
func (*GCM) sealAsm([]GCMJob)                  { panic(unreachable) }
func (*GCM) sealSumAsm([]GCMJob)               { panic(unreachable) }
func (*GCM) openAsm([]GCMJob) (ok bool)        { panic(unreachable) }
func (*GCM) openTags([]GCMJob, *[TagSize]byte) { panic(unreachable) }

func (*GMAC) sumAsm([]GMACJob, [][TagSize]byte) { panic(unreachable) }
