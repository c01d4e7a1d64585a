package main

import (
	"errors"
	"os"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/keyfile"
	"github.com/cofferdb/coffer/kms"
)

// mayHide refuses to encrypt what is needed to decrypt: a key file, a KMS key
// file, the password or credential file in use, a backup of a volume, which is encrypted already.
func (p *program) mayHide(path string, k *keyFlags) error {
	const hint = "Encrypted, nothing could open it, nor what needs it. Copy it to a safe place: coffer keyfile backup."
	_, err := keyfile.Inspect(path, nil)
	if err == nil || errors.Is(err, fault.Damaged) || errors.Is(err, fault.Tampered) || errors.Is(err, fault.Version) {
		return fault.Hint(statef("%s is a key file", path), hint)
	}
	_, err = kms.Inspect(path, nil)
	if err == nil || errors.Is(err, fault.Damaged) || errors.Is(err, fault.Version) {
		return fault.Hint(statef("%s is a KMS key file", path), "Encrypted, nothing could open it, nor what needs it. Copy it to a safe place.")
	}
	from, err := p.keySources(k)
	if err != nil {
		return err
	}
	for _, s := range append(from.files, from.offline...) {
		if sameFile(path, s.file) {
			return fault.Hint(statef("%s is the key file itself", path), hint)
		}
		for what, file := range map[string]string{"password": s.passwordFile, "credential": s.credential} {
			if file != "" && sameFile(path, file) {
				return fault.Hint(statef("%s is the %s file itself", path, what), "Encrypted, nobody could read the password in it.")
			}
		}
	}
	if server, err := p.kmipNeeds(k, path); err != nil || server != "" {
		return firstError(err, fault.Hint(statef("%s is needed to ask server %s for keys", path, server), "Encrypted, nothing could open it, nor what needs it."))
	}
	if isBackup(path) {
		return fault.Hint(statef("%s is a backup of a volume, which is encrypted as that is", path), "coffer restore makes a volume of it.")
	}
	return nil
}

func sameFile(a, b string) bool {
	i, err := os.Stat(a)
	if err != nil {
		return false
	}
	j, err := os.Stat(b)
	return err == nil && os.SameFile(i, j)
}
