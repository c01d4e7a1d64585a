package plainfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// What a job is for.
const (
	jobEncrypt = "encrypt"
	jobDecrypt = "decrypt"
)

// job is what the file PATH.coffer-job says: that the file in the making is
// ours to take up and to throw away. Without it nothing at that name is
// touched. It is durable before anything is made, and goes when the new file
// has its name, so that a run killed at any time is cleaned up by the next one.
type job struct {
	op string // jobEncrypt or jobDecrypt
	// volume is what is built by an encryption, zero until that exists, or
	// what a decryption reads.
	volume blockstore.UUID
}

// jobMagic is the first line. The operation and the UUID follow, a line each.
const jobMagic = "coffer job 1"

// maxJob bounds the length of a job file, in bytes.
const maxJob = 128

func (j job) marshal() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n", jobMagic, j.op, j.volume)
}

// parseJob accepts exactly what marshal makes.
func parseJob(b []byte) (j job, ok bool) {
	lines := strings.Split(string(b), "\n")
	if len(lines) != 4 {
		return j, false
	}
	id, err := blockstore.ParseUUID(lines[2])
	j = job{lines[1], id}
	if err != nil || (j.op != jobEncrypt && j.op != jobDecrypt) {
		return job{}, false
	}
	return j, bytes.Equal(j.marshal(), b)
}

// workplace is where a new file is built.
type workplace struct {
	fs     fsx.FS
	host   host
	path   string // the file that is replaced
	beside string // the file in the making
}

func newWorkplace(fsys fsx.FS, h host, path string) workplace {
	return workplace{fs: fsys, host: h, path: path, beside: path + newSuffix}
}

func (w *workplace) jobFile() string { return w.path + jobSuffix }

const inTheWayHint = "This name is where the new file is built, and no interrupted run left it. Move it away."

// read returns the job of an interrupted run that can go on, nil if there is
// none. Where there is none, or one that does not fit the file, nothing may lie
// at the names that the work needs.
func (w *workplace) read() (*job, error) {
	j, err := w.noted()
	if err != nil {
		return nil, err
	}
	if j != nil && w.fits(*j) {
		return j, nil
	}
	return nil, w.free(j)
}

// free refuses what lies at the names that the work needs. other is a job that
// does not fit the file, if there is one: what lies there is not known to be its.
func (w *workplace) free(other *job) error {
	hint := inTheWayHint
	if other != nil {
		hint = fmt.Sprintf("%s is of other work (%s, volume %v), which does not fit %s as it is now. Move both away; what is not needed can be removed.",
			w.jobFile(), other.op, other.volume, w.path)
	}
	for _, name := range []string{w.beside, w.beside + journalSuffix} {
		switch _, there, err := exists(w.fs, name); {
		case err != nil:
			return err
		case there:
			return fault.Hint(fmt.Errorf("%w: %s", ErrInTheWay, name), hint)
		}
	}
	_, err := w.host.left(w.beside, w.path) // a dangling link
	return err
}

// noted returns what the job's file says, nil if there is none.
func (w *workplace) noted() (*job, error) {
	kind, err := w.host.left(w.jobFile(), w.path)
	if err != nil || kind == leftNothing {
		return nil, err
	}
	f, err := w.fs.Open(w.jobFile(), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("plainfile: %w", err)
	}
	b := make([]byte, maxJob)
	n, err := f.ReadAt(b, 0)
	if err := errors.Join(ignoreEOF(err), f.Close()); err != nil {
		return nil, fmt.Errorf("plainfile: %w", err)
	}
	j, ok := parseJob(b[:n])
	if !ok {
		return nil, fault.Hint(fmt.Errorf("%w: %s", ErrInTheWay, w.jobFile()), inTheWayHint)
	}
	return &j, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// begin makes the job durable. A first one also shows, before any work is done,
// whether this process can give the new file the owner and the mode of the old.
func (w *workplace) begin(j job) error {
	write := func(f fsx.File) error {
		_, err := f.WriteAt(j.marshal(), 0)
		return err
	}
	err := fsx.Create(w.fs, w.jobFile(), 0o600, write)
	if errors.Is(err, fs.ErrExist) {
		if err := fsx.Replace(w.fs, w.jobFile(), 0o600, write); err != nil {
			return fmt.Errorf("plainfile: note the work: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("plainfile: note the work: %w", err)
	}
	if err := w.host.copyOwnerMode(w.path, w.jobFile()); err != nil {
		err = fault.Hint(fmt.Errorf("plainfile: the new file could not have the owner, group and mode of %s: %w", w.path, err),
			"Run this as the file's owner, who must be a member of its group, or as root.")
		return errors.Join(err, w.end())
	}
	return nil
}

// end forgets the job, durably.
func (w *workplace) end() error {
	if err := remove(w.fs, w.jobFile()); err != nil {
		return err
	}
	return syncDirOf(w.fs, w.path)
}

// clear throws away what was built, then notes the job given: as long as
// anything lies there, the job is the one that it belongs to.
func (w *workplace) clear(j job) error {
	if err := discard(w.fs, w.beside); err != nil {
		return err
	}
	return w.begin(j)
}

// abandon throws away what was built, and the job.
func (w *workplace) abandon() error {
	return errors.Join(discard(w.fs, w.beside), w.end())
}

// Abandon removes what an interrupted Encrypt or Decrypt of path left beside
// it, and returns the names. A nil fsys is the operating system's. Files that no
// interrupted run left stay, and are refused with [ErrInTheWay].
func Abandon(path string, fsys fsx.FS) (removed []string, err error) {
	o := Options{FS: fsys}
	h, real := hostOf(o.fs()), fsx.Resolve(o.fs(), path)
	w := newWorkplace(o.fs(), h, real)
	j, err := w.read()
	if err != nil || j == nil {
		return nil, err
	}
	kind, err := h.left(w.beside, real)
	if err == nil && kind != leftNothing && j.op == jobEncrypt {
		err = w.mine(*j, kind)
	}
	if err != nil {
		return nil, err
	}
	if kind != leftNothing {
		removed = append(removed, w.beside)
	}
	return removed, w.abandon()
}
