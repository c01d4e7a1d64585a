//go:build !purego

package aes

func (k *Key) cbcEncryptAsm(j []Job)               { panic("soon") }
func (k *Key) cbcDecryptAsm(j []Job)               { panic("soon") }
func (k *Key) xtsAsm(*[BlockSize]byte, *Job, bool) { panic("soon") }
func (k *Key) ctrAsm(*Job)                         { panic("soon") }
