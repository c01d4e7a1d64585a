package keyfile

import (
	"fmt"
	"slices"
)

// OldCopies says what taking away an administrator, or changing a password,
// cannot do. Programs show it.
const OldCopies = "A copy of the key file made before this change still opens with the old password and yields the same keys. " +
	"Only re-keying the data ends that."

// AddAdmin adds an administrator, who gets access to every key. Copies of the
// file made earlier do not have the new one. Errors: [ErrAdminExists];
// [ErrFull] for a 257th; [ErrUsage]; [ErrWeakPassword].
func (f *File) AddAdmin(cred Credentials) error {
	name, err := canonicalName(cred.Admin)
	if err != nil {
		return err
	}
	record, err := f.prepareAdmin(name, cred.Password)
	if err != nil {
		return err
	}
	return f.change("add administrator", func(c *content) error {
		if err := c.addable(name); err != nil {
			return err
		}
		c.admins = append(c.admins, record)
		return nil
	})
}

func (c *content) addable(name string) error {
	switch {
	case c.findAdmin(name) >= 0:
		return fmt.Errorf("%w: %s", ErrAdminExists, name)
	case len(c.admins) >= MaxAdmins:
		return fmt.Errorf("%w: it has %d administrators", ErrFull, MaxAdmins)
	}
	return nil
}

// prepareAdmin derives a record before the file is locked: it takes a while.
// The work factor is the configured one, or at least that of a record of the
// same name.
func (f *File) prepareAdmin(name string, password []byte) (adminRecord, error) {
	if err := f.opts.Policy.check(password); err != nil {
		return adminRecord{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kek == nil {
		return adminRecord{}, ErrClosed
	}
	former := uint32(0)
	if i := f.cur.findAdmin(name); i >= 0 {
		former = f.cur.admins[i].iterations
	}
	return newAdmin(f.opts.derive, name, password, f.opts.work(former), f.kek)
}

// Deleted is what [File.DeleteAdmin] did, and did not do.
type Deleted struct {
	Admin     string `json:"admin"`     // who was deleted
	Remaining int    `json:"remaining"` // administrators left
	Warning   string `json:"warning"`   // [OldCopies]
}

// DeleteAdmin deletes an administrator, never the last one ([ErrLastAdmin];
// [ErrUnknownAdmin]). It does not shut out somebody who kept an older copy of
// the file: that copy, with that password, still yields the same keys, and only
// a re-key of the data ends that. The returned value says so. A File opened by the one
// deleted makes no more changes.
func (f *File) DeleteAdmin(name string) (Deleted, error) {
	d := Deleted{Warning: OldCopies}
	err := f.change("delete administrator", func(c *content) error {
		i, err := c.adminDeletable(name)
		if err != nil {
			return err
		}
		d.Admin = c.admins[i].name
		c.admins = slices.Delete(c.admins, i, i+1)
		d.Remaining = len(c.admins)
		return nil
	})
	if err != nil {
		return Deleted{}, err
	}
	return d, nil
}

// CanDeleteAdmin returns the error with which DeleteAdmin would refuse, and nil
// where it would not: for programs that ask before they delete.
func (f *File) CanDeleteAdmin(name string) error {
	_, err := f.snapshot().adminDeletable(name)
	return err
}

func (c *content) adminDeletable(name string) (int, error) {
	i, err := c.namedAdmin(name)
	if err == nil && len(c.admins) == 1 {
		err = fmt.Errorf("%w: %s", ErrLastAdmin, c.admins[i].name)
	}
	return i, err
}

func (c *content) namedAdmin(name string) (int, error) {
	canonical, err := canonicalName(name)
	if err != nil {
		return -1, ErrUnknownAdmin
	}
	i := c.findAdmin(canonical)
	if i < 0 {
		return i, fmt.Errorf("%w: %s", ErrUnknownAdmin, canonical)
	}
	return i, nil
}

// ChangePassword gives an administrator another password, with a new salt. Any
// administrator may change any password. Older copies of the file keep the old
// one: see [OldCopies]. Errors: [ErrUnknownAdmin]; [ErrUsage]; [ErrWeakPassword].
func (f *File) ChangePassword(name string, password []byte) error {
	i, err := f.snapshot().namedAdmin(name)
	if err != nil {
		return err
	}
	record, err := f.prepareAdmin(f.snapshot().admins[i].name, password)
	if err != nil {
		return err
	}
	return f.change("change password", func(c *content) error {
		i, err := c.namedAdmin(name)
		if err != nil {
			return err
		}
		c.admins[i] = record
		return nil
	})
}
