package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/plainfile"
)

// newVolumeFlags say what volume is made.
type newVolumeFlags struct {
	keys      keyFlags
	cipher    string
	key       string
	blockSize byteSize
}

func (n *newVolumeFlags) register(c *cobra.Command) {
	n.keys.register(c, true)
	f := c.Flags()
	f.StringVar(&n.cipher, "cipher", "", "suite: aes-gcm (the default), aes-cbc, aes-xts or none")
	f.StringVar(&n.key, "key", "", "`ID` of the key to encrypt under; else the default key of the first source: key files first, then KMS key files")
	f.Var(&n.blockSize, "block-size", "a power of two from 4096 to 65536")
	completeSuites(c)
}

// parse checks the flags without asking for anything.
func (n *newVolumeFlags) parse() (suite blockstore.Suite, key dek.ID, err error) {
	if suite, err = parseSuite(n.cipher); err != nil {
		return 0, key, err
	}
	if n.key != "" {
		if key, err = parseID(n.key); err != nil {
			return 0, key, err
		}
	}
	if b := n.blockSize; b != 0 && (b < 4096 || b > 65536 || b&(b-1) != 0) {
		return 0, key, usagef("a block size is a power of two from 4096 to 65536, not %d", b)
	}
	return suite, key, nil
}

func (p *program) createCmd() *cobra.Command {
	var n newVolumeFlags
	var size byteSize
	c := p.verb("create VOLUME --size BYTES", "Make an empty volume", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.create(ctx, args[0], int64(size), &n) })
	c.Long = `Make an empty volume, which reads as zeros, and print its UUID. The file takes up
little until something is written. A file that exists is never overwritten.
The block size is what one write costs at least; a database's page size fits best.`
	n.register(c)
	c.Flags().Var(&size, "size", "length of the volume; K, M, G and T are powers of 1024")
	_ = c.MarkFlagRequired("size") // fails only for an unknown flag
	return c
}

func (p *program) create(ctx context.Context, path string, size int64, n *newVolumeFlags) error {
	suite, key, err := n.parse()
	if err != nil {
		return err
	}
	if err := mustNotExist(path); err != nil {
		return err
	}
	ks, err := p.activate(ctx, &n.keys)
	if err != nil {
		return err
	}
	defer ks.close()
	if err := needKey(ks, suite, key); err != nil {
		return err
	}
	s, err := blockstore.Create(path, ks.ring, blockstore.CreateOptions{
		Options: blockstore.Options{AllowPlain: suite == blockstore.None, Logger: p.logger()},
		Size:    size, BlockSize: int(n.blockSize), Suite: suite, Key: key,
	})
	if err != nil {
		return explainOpen(err, ks.sources)
	}
	uuid := s.UUID()
	if err := s.Close(); err != nil {
		return err
	}
	if suite == blockstore.None {
		p.warn("%s is not encrypted", path)
	}
	return p.print("%s", uuid)
}

// needKey refuses to make something encrypted without any key, or under one that
// nobody named; a zero key is the default one.
func needKey(ks *keys, suite blockstore.Suite, key dek.ID) error {
	def, ok := ks.ring.Default()
	switch {
	case suite == blockstore.None, ok && !key.IsZero():
		return nil
	case ok && ks.guessed:
		return fault.Hint(statef("the server is away, so nobody knows which key of the offline key file is meant; it would be %s", def),
			"Name the key by its GUID: --key ID. coffer keyfile show lists those that a key file holds.")
	case ok:
		return nil
	}
	if ids := ks.ring.ListEncryptionKeys(dek.Database); len(ids) > 0 { // without a default key they may only decrypt
		return fault.Hint(statef("key %s may not encrypt new data, and no other key is given", ids[0]),
			"Its key server says in which state it is: coffer kmip key list. Activate it there, or give an active key.")
	}
	return fault.Hint(fmt.Errorf("there is no key to encrypt under: %w", fault.NotActivated),
		"Give a key file: --keyfile FILE --admin NAME --password-file FILE, --kms-keyfile FILE, or --kmip NAME. coffer keyfile create and coffer kms create make one.")
}

func (p *program) resizeCmd() *cobra.Command {
	var v volumeFlags
	var size byteSize
	c := p.verb("resize VOLUME --size BYTES", "Grow a volume, or cut it off", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.withVolume(ctx, args[0], &v, false, func(s *volume) error {
				return s.Update(func(tx *blockstore.Tx) error { return tx.Resize(int64(size)) })
			})
		})
	v.register(c)
	v.registerDiscard(c)
	c.Flags().Var(&size, "size", "new length; what is added reads as zeros; K, M, G and T are powers of 1024")
	_ = c.MarkFlagRequired("size") // fails only for an unknown flag
	return c
}

func (p *program) eraseCmd() *cobra.Command {
	var yes bool
	c := p.verb("erase VOLUME", "Destroy a volume: its label and its journal", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.erase(ctx, args[0], yes) })
	c.Long = `Destroy a volume for good, also for those who have its key. The label, which
holds what the blocks' keys are derived from, and the journal are overwritten
and removed; the encrypted blocks stay, unreadable, in the file.

What it does not reach: a copy that coffer label backup made, and copies and
backups of the volume, can be read with the key as before. A flash disk may keep
older copies of what was overwritten; whoever reads its chips and has the key
could read the volume from them. Delete the key as well, if nothing else needs it.

What an interrupted encrypt or decrypt left beside the volume (VOLUME.coffer-new)
is removed too.`
	yesFlag(c, &yes)
	return c
}

func (p *program) erase(ctx context.Context, path string, yes bool) error {
	question := fmt.Sprintf("Destroy volume %s, whose label is damaged?", path)
	switch info, err := inspect(path); {
	case err == nil:
		question = fmt.Sprintf("Destroy volume %s (%s, %s)?", path, info.UUID, humanBytes(info.Size))
		if !info.Encrypted {
			p.warn("%s is not encrypted: its content stays readable in the file after its label is gone", path)
		}
	case !errors.Is(err, fault.Damaged): // a damaged volume can be erased too
		return err
	}
	if err := notInUse(path); err != nil {
		return err
	}
	if err := p.confirm(ctx, yes, question); err != nil {
		return err
	}
	if err := p.eraseLeft(path); err != nil { // first: once the label is gone, nobody runs this again
		return err
	}
	if err := blockstore.Erase(path, nil); err != nil {
		return err
	}
	p.note("what is in %s cannot be opened any more, unless somebody has a copy of its label", path)
	p.warn("copies of the label (coffer label backup), of the volume and backups are not touched, and a flash disk may keep what was overwritten: " +
		"with the key they can be read. If it is used for nothing else, delete the key too: coffer keyfile delete-key")
	return nil
}

// eraseLeft removes what an interrupted run left beside a volume: after decrypt
// that is plain text.
func (p *program) eraseLeft(path string) error {
	removed, err := plainfile.Abandon(path, nil)
	if errors.Is(err, plainfile.ErrInTheWay) {
		p.warn("%s: it is not touched", oneLine(err.Error()))
		return nil
	}
	for _, name := range removed {
		p.note("removed %s, which an interrupted run had left; what it held may stay in freed blocks of the disk", name)
	}
	return err
}

// notInUse refuses a volume that is open somewhere, before anything is asked.
func notInUse(path string) error {
	f, err := fsx.OpenLocked(fsx.OS(), path, os.O_RDWR, 0, fsx.Exclusive)
	switch {
	case errors.Is(err, fault.InUse):
		return fault.Hint(say(err, "%s is in use", path), "Another process has the volume open: wait for it, or end it.")
	case err != nil:
		return fmt.Errorf("open: %w", err)
	}
	return f.Close()
}
