//go:build purego || !amd64

package aes

// Without assembler there is no tier but Portable, so that nothing gets here.
const unreachable = "aes: no assembler in this build"

func (k *Key) expand([]byte)                       { panic(unreachable) }
func (k *Key) encryptBlocksAsm(_, _ *byte, _ int)  { panic(unreachable) }
func (k *Key) cbcEncryptAsm([]Job)                 { panic(unreachable) }
func (k *Key) cbcDecryptAsm([]Job)                 { panic(unreachable) }
func (k *Key) xtsAsm(*[BlockSize]byte, *Job, bool) { panic(unreachable) }
func (k *Key) ctrAsm(*Job)                         { panic(unreachable) }
func limitAsm(_ Tier, _, _ int) (bytes int)        { return 0 }
func fusedXTS(Tier) bool                           { return false }
func fusedCBC(Tier) bool                           { return false }

func (*XTSGMAC) sealAsm(_ []MACJob, _, _ *byte)    { panic(unreachable) }
func (*XTSGMAC) openAsm(_ []MACJob, _, _, _ *byte) { panic(unreachable) }
func (*CBCGMAC) openAsm(_ []MACJob, _, _ *byte)    { panic(unreachable) }
