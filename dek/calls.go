package dek

// The four calls that applications know from the manual, by their names there.

// CreateEncryptionKey makes a random key of bits length (128, 192 or 256) and
// activates it for use. The returned key is the caller's, who puts it where it
// survives this process (a key file: its AddExisting) before anything is
// encrypted under it, then destroys it. Errors as for [Generate] and [Keyring.Activate].
func (r *Keyring) CreateEncryptionKey(bits int, use Use) (*Key, error) {
	k, err := Generate(bits)
	if err != nil {
		return nil, err
	}
	if err := r.Activate(k, use, Active); err != nil {
		k.Destroy()
		return nil, err
	}
	return k, nil
}

// ActivateEncryptionKey is [Keyring.Activate] for a key that may encrypt.
func (r *Keyring) ActivateEncryptionKey(k *Key, use Use) error { return r.Activate(k, use, Active) }

// DeactivateEncryptionKey is [Keyring.Deactivate].
func (r *Keyring) DeactivateEncryptionKey(id ID, use Use) error { return r.Deactivate(id, use) }

// ListEncryptionKeys returns the IDs of the keys activated for use, sorted.
func (r *Keyring) ListEncryptionKeys(use Use) []ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []ID
	for _, id := range r.sortedIDs() {
		if use.Valid() && r.entries[id].uses[use].mode != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
