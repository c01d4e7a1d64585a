package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
)

// labelInfo is HKDF's info for the label's key, and the prefix of a plain label's hash.
const labelInfo = "coffer/1 label mac"

// backupInfo is the same for the end of a backup.
const backupInfo = "coffer/1 backup mac"

// fileInfo is the same for the header of a file of package pebblefs.
const fileInfo = "coffer/1 pebble header mac"

// LabelMAC authenticates a volume's label: HMAC-SHA256 over the label under
// HKDF-SHA256(key, salt = volume, info = "coffer/1 label mac"), 32 bytes.
//
// Without a key (suite none) it is SHA-256 over that info, a zero byte, volume
// and label, which anyone can compute. Compare in constant time
// (crypto/hmac.Equal). It fails only when the key was destroyed.
func LabelMAC(key *dek.Key, volume [16]byte, label []byte) (mac [32]byte, err error) {
	return macOf(labelInfo, key, volume, label)
}

// BackupMAC authenticates the end of a backup, and through the hash in it all of
// it: as [LabelMAC], with "coffer/1 backup mac".
func BackupMAC(key *dek.Key, volume [16]byte, end []byte) (mac [32]byte, err error) {
	return macOf(backupInfo, key, volume, end)
}

// FileMAC authenticates the header of a file of package pebblefs: as [LabelMAC], with
// "coffer/1 pebble header mac" and the file's identity in place of the volume. key is not nil.
func FileMAC(key *dek.Key, file [16]byte, header []byte) (mac [32]byte, err error) {
	return macOf(fileInfo, key, file, header)
}

func macOf(info string, key *dek.Key, volume [16]byte, data []byte) (mac [32]byte, err error) {
	if key == nil {
		h := sha256.New()
		h.Write([]byte(info + "\x00"))
		h.Write(volume[:])
		h.Write(data)
		h.Sum(mac[:0])
		return mac, nil
	}
	buf, err := secmem.New(sha256.Size)
	if err != nil {
		return mac, fmt.Errorf("seal: memory for a subkey: %w", err)
	}
	defer buf.Release()
	if err := key.Derive(buf.Bytes(), volume[:], info); err != nil {
		return mac, fmt.Errorf("seal: derive the key of a MAC: %w", err)
	}
	h := hmac.New(sha256.New, buf.Bytes())
	h.Write(data)
	h.Sum(mac[:0])
	return mac, nil
}
