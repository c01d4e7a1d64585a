package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
)

const (
	demoRecords   = 1000
	demoText      = "This is test number"
	demoRecord    = 64 // bytes of one record
	demoBlockSize = 8192
	demoReadBack  = 500 // the record that is read back
)

func (p *program) demoCmd() *cobra.Command {
	c := p.verb("demo", "A guided demonstration that checks itself, in a temporary folder", cobra.NoArgs,
		func(ctx context.Context, _ []string) error { return p.demo(ctx) })
	c.Long = `A guided demonstration: a key file is made and its key activated; 1,000 records
are written to an encrypted database and one is read back; then their text is
looked for in the file of an unencrypted database, where it is found, and in the
encrypted file, where it is not. It works in a temporary folder, which is removed.`
	return c
}

// demonstration is one run of the demo.
type demonstration struct {
	p        *program
	keyfile  string
	volume   string // encrypted
	plain    string // under suite none
	password []byte
	file     *keyfile.File
	ring     *dek.Keyring
	step     int
}

func (p *program) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "coffer-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demonstration{
		p: p, ring: dek.NewKeyring(), password: demoPassword(),
		keyfile: filepath.Join(dir, "keys.coffer"), volume: filepath.Join(dir, "encrypted.db"), plain: filepath.Join(dir, "unencrypted.db"),
	}
	defer d.close()
	for _, step := range []func() error{
		d.makeKeyfile, d.activate, d.createEncrypted, d.writeRecords, d.readBack,
		d.createUnencrypted, d.findInPlain, d.findNothing, func() error { return d.verify(ctx) },
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return fmt.Errorf("demonstration, step %d: %w", d.step, err)
		}
	}
	return p.print("\nEvery check passed. The files of this demonstration are removed.")
}

// demoPassword makes a password that exists as long as the demonstration.
func demoPassword() []byte {
	raw := make([]byte, 18)
	rand.Read(raw) // never fails: crypto/rand ends the process instead
	defer secmem.Wipe(raw)
	return base64.RawURLEncoding.AppendEncode(nil, raw)
}

func (d *demonstration) close() {
	secmem.Wipe(d.password)
	if d.file != nil {
		_ = d.file.Close() // has no error
	}
	_ = d.ring.Close() // everything that held a key is closed
}

// say announces a step.
func (d *demonstration) say(format string, args ...any) error {
	d.step++
	return d.p.print("\n%d. "+format, append([]any{d.step}, args...)...)
}

// found prints what a step found.
func (d *demonstration) found(format string, args ...any) error {
	return d.p.print("   "+format, args...)
}

func (d *demonstration) makeKeyfile() error {
	if err := d.say("Create a key file with one 256-bit key, for administrator DEMO."); err != nil {
		return err
	}
	f, err := keyfile.Create(d.keyfile, keyfile.CreateOptions{
		Admin: keyfile.Credentials{Admin: "demo", Password: d.password}, Bits: 256, Description: "demonstration",
	})
	if err != nil {
		return err
	}
	d.file = f
	return d.found("its key is %s", f.Default())
}

func (d *demonstration) activate() error {
	if err := d.say("Activate it: only now can the key be used."); err != nil {
		return err
	}
	done, err := d.file.Activate(d.ring, dek.Database, dek.Active)
	if err != nil {
		return err
	}
	id, ok := d.ring.Default()
	if !ok || id != d.file.Default() || len(done.IDs) != 1 {
		return fmt.Errorf("the key is not the default key: %w", errCheck)
	}
	return d.found("%d key is active, and is the default key", len(done.IDs))
}

func (d *demonstration) createEncrypted() error {
	if err := d.say("Create an encrypted database."); err != nil {
		return err
	}
	return d.create(d.volume, blockstore.AESGCM)
}

// create makes a database and says what it is.
func (d *demonstration) create(path string, suite blockstore.Suite) error {
	s, err := blockstore.Create(path, d.ring, blockstore.CreateOptions{
		Options: blockstore.Options{AllowPlain: suite == blockstore.None},
		Size:    demoRecords * demoRecord, BlockSize: demoBlockSize, Suite: suite,
	})
	if err != nil {
		return err
	}
	info, err := s.Info()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	return d.found("%s: suite %s, key %s, blocks of %d bytes", filepath.Base(path), info.Suite, keyName(info.WriteKey), info.BlockSize)
}

// record is record number n, padded with spaces to its length.
func record(n int) []byte {
	return fmt.Appendf(nil, "%-*s\n", demoRecord-1, fmt.Sprintf("%s %d", demoText, n))
}

func (d *demonstration) writeRecords() error {
	if err := d.say("Write %d records, \"%s N\", in one durable commit.", demoRecords, demoText); err != nil {
		return err
	}
	if err := d.fill(d.volume); err != nil {
		return err
	}
	return d.found("%d records are in %s", demoRecords, filepath.Base(d.volume))
}

// fill writes the records into a database.
func (d *demonstration) fill(path string) error {
	s, err := d.open(path, false)
	if err != nil {
		return err
	}
	err = s.Update(func(tx *blockstore.Tx) error {
		w := &txWriter{tx: tx, block: int64(s.BlockSize())}
		for n := 1; n <= demoRecords; n++ {
			if err := w.write(record(n)); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, s.Close())
}

func (d *demonstration) open(path string, readOnly bool) (*blockstore.Store, error) {
	return blockstore.Open(path, d.ring, &blockstore.Options{ReadOnly: readOnly, AllowPlain: path == d.plain})
}

func (d *demonstration) readBack() error {
	if err := d.say("Open the database again and read record %d.", demoReadBack); err != nil {
		return err
	}
	s, err := d.open(d.volume, true)
	if err != nil {
		return err
	}
	got := make([]byte, demoRecord)
	_, err = s.File().ReadAt(got, (demoReadBack-1)*demoRecord)
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, record(demoReadBack)) {
		return fmt.Errorf("record %d reads %q: %w", demoReadBack, got, errCheck)
	}
	return d.found("it reads %q", bytes.TrimSpace(got))
}

func (d *demonstration) createUnencrypted() error {
	if err := d.say("Create an unencrypted database with the same records, for comparison."); err != nil {
		return err
	}
	if err := d.create(d.plain, blockstore.None); err != nil {
		return err
	}
	return d.fill(d.plain)
}

// errCheck: the demonstration found something else than it should.
var errCheck = errors.New("check failed")

func (d *demonstration) findInPlain() error {
	if err := d.say("Look for the text %q in the file of the unencrypted database.", demoText); err != nil {
		return err
	}
	n, err := occurrences(d.plain)
	if err != nil {
		return err
	}
	if n < demoRecords {
		return fmt.Errorf("it is there only %d times: %w", n, errCheck)
	}
	return d.found("it is there %d times", n)
}

func (d *demonstration) findNothing() error {
	if err := d.say("Look for it in the file of the encrypted database."); err != nil {
		return err
	}
	n, err := occurrences(d.volume)
	if err != nil {
		return err
	}
	if n != 0 {
		return fmt.Errorf("it is there %d times: %w", n, errCheck)
	}
	return d.found("it is not there")
}

// occurrences counts the text in a file as it is on the disk.
func occurrences(path string) (int, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return bytes.Count(raw, []byte(demoText)), nil
}

func (d *demonstration) verify(ctx context.Context) error {
	if err := d.say("Verify the encrypted database: every block, record and label."); err != nil {
		return err
	}
	r, err := blockstore.VerifyFile(ctx, d.volume, d.ring, nil, blockstore.VerifyOptions{})
	if err != nil {
		return err
	}
	if !r.OK {
		return fmt.Errorf("%d problems: %w", len(r.Problems), errCheck)
	}
	return d.found("%d of %d blocks checked, all correct", r.Checked, r.Blocks)
}
