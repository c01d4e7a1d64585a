package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
)

const elementAbout = `Encrypt single values and streams under managed keys.

A value comes from standard input, or with --in from a file, never from the
command line, where others could see it. encrypt prints its text form, which
begins with coffer1: and says which key it needs; decrypt takes that, or the
binary form, and prints the plaintext byte for byte. White space behind a text
form is dropped.

--context says where a value belongs, such as patients.ssn. It is stored nowhere:
decrypt needs the same one, and a value that was moved, or altered, is refused
(exit code 4; the two cannot be told apart).

With --csv --column NAME --header, or --jsonl --path $.patient.ssn, that value of
each record is changed on the way from standard input to standard output; every
other byte stays. With --dsn, --table and --column it is that column of a table in
PostgreSQL or SQLite, beside programs that use it. There a name in braces in the
context stands for another value of the record: patients.ssn.{id}; braces that are
meant literally are doubled. With --stream it is one large value in the binary form
of streams.

Keys come from any source, and are activated as the values name them, four at a
time.`

func (p *program) elementCmd() *cobra.Command {
	c := p.group("element", "Encrypt single values, streams, and columns of files and tables",
		p.elementVerb(retable.Encrypt, "encrypt [--key ID] [--context TEXT] < VALUE", "Encrypt a value, or a column"),
		p.elementVerb(retable.Decrypt, "decrypt [--context TEXT] < VALUE", "Decrypt a value, or a column"),
		p.elementVerb(retable.Rekey, "rekey --to-key ID [--context TEXT] < VALUE", "Put a value, or a column, under another key"),
		p.elementInfoCmd(),
	)
	c.Long = elementAbout
	return c
}

// elementFlags are those of encrypt, decrypt and rekey.
type elementFlags struct {
	keys    keyFlags
	source  elementSource
	table   tableFlags
	key     string // encrypt: --key; rekey: --to-key
	fromKey string
	context string
	cipher  string
	weak    bool // --allow-unauthenticated
	empty   bool // --skip-empty
	binary  bool
}

func (p *program) elementVerb(op retable.Operation, use, short string) *cobra.Command {
	var o elementFlags
	c := p.verb(use, short, noValues, func(ctx context.Context, _ []string) error { return p.element(ctx, op, &o) })
	c.Long = elementLong[op]
	o.keys.register(c, true)
	o.source.register(c)
	o.table.register(c)
	f := c.Flags()
	f.StringVar(&o.context, "context", "", "`TEXT` that says where the value belongs; with records, names in braces are values of the record")
	f.BoolVar(&o.weak, "allow-unauthenticated", false, "accept values of the suite aes-cbc-unauthenticated, which anybody who can write them can change")
	switch op {
	case retable.Encrypt:
		f.StringVar(&o.key, "key", "", "`ID` of the key; else the first one that is given")
		f.StringVar(&o.cipher, "cipher", "aes-gcm", "suite: aes-gcm, aes-cbc-hmac, aes-siv (deterministic: equal values look equal) or aes-cbc-unauthenticated")
		_ = c.RegisterFlagCompletionFunc("cipher", cobra.FixedCompletions(suiteNames(), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
		f.BoolVar(&o.binary, "binary", false, "print the binary form of a value instead of its text form")
	case retable.Rekey:
		f.StringVar(&o.key, "to-key", "", "`ID` of the new key")
		_ = c.MarkFlagRequired("to-key") // likewise
	}
	if op != retable.Encrypt {
		f.StringVar(&o.fromKey, "from-key", "", "change only values under the key with this `ID`")
	}
	f.BoolVar(&o.empty, "skip-empty", false, "leave empty values as they are")
	return c
}

var elementLong = map[retable.Operation]string{
	retable.Encrypt: `Encrypt a value from standard input and print its text form:

  printf secret | coffer element encrypt --key ID --context patients.ssn

In CSV, JSON Lines (strings only; null stays) and tables, what is encrypted
already is left as it is. Empty values are encrypted too, unless --skip-empty.`,
	retable.Decrypt: `Decrypt a value from standard input and print it byte for byte. It says itself
which key it needs. With a wrong context, or damage, nothing is printed and the
exit code is 4; of streams, CSV and JSON Lines what comes before is printed.

In a table, what is not encrypted is left as it is.`,
	retable.Rekey: `Put a value under another key: decrypt it, encrypt it again with the suite and
the context that it has, and print the new text form. The plaintext is printed
nowhere. Both keys must be given.

With --dsn the table stays in use meanwhile: values change one by one, each only
if nobody else changed it in between. At the end all values are counted by key in
one statement; only when none is left under an old key is it done (exit code 0).
What is damaged is reported by its primary key and left as it is. --checkpoint
remembers the place for the next run. Let all writers use the new key before.`,
}

func suiteNames() []string {
	var names []string
	for _, s := range element.Suites() {
		names = append(names, s.String())
	}
	return names
}

// noValues refuses arguments without repeating them: one may be a secret.
func noValues(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("it takes no arguments: a value comes from standard input, or from a file with --in")
	}
	return nil
}

// elementRun is one run of encrypt, decrypt or rekey.
type elementRun struct {
	p      *program
	op     retable.Operation
	o      *elementFlags
	keys   *elementKeys
	suite  element.Suite
	key    dek.ID // encrypt, rekey: of new values
	from   dek.ID
	passed int64 // records left because of what they are already
}

func (p *program) element(ctx context.Context, op retable.Operation, o *elementFlags) error {
	r := &elementRun{p: p, op: op, o: o}
	kind, err := o.source.kind(&o.table)
	if err != nil {
		return err
	}
	if err := r.parse(kind); err != nil {
		return err
	}
	p.data = o.source.in == "" && kind != ofTable
	if r.keys, err = p.elementKeys(ctx, &o.keys, o.weak); err != nil {
		return err
	}
	defer r.keys.close()
	if err := r.chooseKey(); err != nil {
		return err
	}
	switch kind {
	case ofTable:
		return r.table(ctx)
	case ofStream:
		return r.stream(ctx)
	case ofCSV, ofJSONL:
		return r.records(ctx, kind)
	}
	return r.value(ctx)
}

// parse reads what the flags say before anybody types a password.
func (r *elementRun) parse(kind sourceKind) (err error) {
	if r.op == retable.Encrypt {
		if r.suite, err = element.ParseSuite(r.o.cipher); err != nil {
			return err
		}
		if kind == ofStream && r.suite != element.GCM {
			return usagef("streams are under aes-gcm")
		}
	}
	if r.o.binary && kind != ofValue {
		return usagef("--binary is for single values")
	}
	if r.o.fromKey != "" {
		if kind == ofValue || kind == ofStream {
			return usagef("--from-key is for columns")
		}
		if r.from, err = parseID(r.o.fromKey); err != nil {
			return err
		}
	}
	if r.o.key != "" {
		r.key, err = parseID(r.o.key)
	}
	return err
}

// chooseKey is the key of new values: that of the flag, or the first one.
func (r *elementRun) chooseKey() error {
	if r.op == retable.Decrypt {
		return nil
	}
	if r.key.IsZero() {
		if err := needKey(r.keys.all, blockstore.AESGCM, r.key); err != nil {
			return err
		}
		r.key, _ = r.keys.all.ring.Default()
	}
	return r.keys.need(r.key)
}
