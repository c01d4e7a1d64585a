package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
	"github.com/cofferdb/coffer/keyfile"
	"github.com/cofferdb/coffer/kms"
)

func (p *program) kmsCmd() *cobra.Command {
	return p.group("kms", "Keys under keys of AWS KMS and Azure Key Vault",
		p.kmsCreateCmd(), p.kmsImportCmd(), p.kmsShowCmd(), p.kmsRewrapCmd(), p.kmsTestCmd(), p.kmsCopyCmd())
}

// serviceFlags are how to talk to a key service. Nothing of it is in the file.
type serviceFlags struct {
	deadline time.Duration
	private  kms.PrivateCloud
}

// Environment variables for an Azure that is not Microsoft's.
const (
	envAzureAuthority = "COFFER_AZURE_AUTHORITY"
	envAzureCA        = "COFFER_AZURE_CA"
	envAzureResource  = "COFFER_AZURE_SKIP_RESOURCE_CHECK"
	envAzureDiscovery = "COFFER_AZURE_SKIP_DISCOVERY"
)

func (s *serviceFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.DurationVar(&s.deadline, "deadline", kms.DefaultDeadline, "how long to go on trying when the service does not answer")
	f.StringVar(&s.private.Authority, "azure-authority", "", "private clouds: `URL` that gives tokens ("+envAzureAuthority+")")
	f.StringVar(&s.private.CAFile, "azure-ca", "", "private clouds: `FILE` with the certificates to trust ("+envAzureCA+")")
	f.BoolVar(&s.private.SkipResourceCheck, "azure-skip-resource-check", false,
		"private clouds: do not compare what the vault says it is with its name ("+envAzureResource+"=1)")
	f.BoolVar(&s.private.SkipDiscovery, "azure-skip-discovery", false,
		"private clouds: do not ask Microsoft whether the authority is one ("+envAzureDiscovery+"=1)")
}

// kmsOptions completes the flags from the environment; nil stands for no flags.
func (p *program) kmsOptions(s *serviceFlags) *kms.Options {
	o := &kms.Options{Logger: p.logger()}
	if s != nil {
		o.Deadline, o.Private = s.deadline, s.private
	}
	for name, to := range map[string]*string{envAzureAuthority: &o.Private.Authority, envAzureCA: &o.Private.CAFile} {
		if *to == "" {
			*to = p.getenv(name)
		}
	}
	for name, to := range map[string]*bool{envAzureResource: &o.Private.SkipResourceCheck, envAzureDiscovery: &o.Private.SkipDiscovery} {
		*to = *to || p.getenv(name) == "1"
	}
	return o
}

// placeFlags name a service's key.
type placeFlags struct {
	place kms.Place
	env   []string
}

func (f *placeFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.place.Provider, "provider", "", "aws, azure, or local, which is for tests only")
	c.Flags().StringVar(&f.place.ServerKey, "server-key", "",
		"`ID` of the service's key: of AWS an ID, ARN or alias; of Azure https://VAULT/keys/NAME[/VERSION]; of local a file")
	c.Flags().StringVar(&f.place.Region, "region", "", "AWS: `REGION` of the key; else the ARN's, or that of the usual configuration")
	c.Flags().StringVar(&f.place.Endpoint, "endpoint", "", "AWS: `URL` in place of the usual one; https, or http on this machine")
	c.Flags().StringArrayVar(&f.env, "env", nil,
		"`NAME=VALUE` that stands in for the environment, such as AWS_SHARED_CREDENTIALS_FILE; may be repeated; never a secret")
	names := append(kms.Providers(), "AWS", "Azure")
	_ = c.RegisterFlagCompletionFunc("provider", cobra.FixedCompletions(names[:3], cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
}

// parse reads the environment entries. None given leaves Env nil.
func (f *placeFlags) parse() (kms.Place, error) {
	p := f.place
	for _, entry := range f.env {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			return p, usagef("--env takes NAME=VALUE") // what was typed may be a secret
		}
		if p.Env == nil {
			p.Env = make(map[string]string)
		}
		p.Env[name] = value
	}
	return p, nil
}

// kmsCreateFlags are those of kms create.
type kmsCreateFlags struct {
	place       placeFlags
	service     serviceFlags
	keys        keyFlags
	bits        int
	description string
	backup      string
	strength    strengthFlag
}

func (p *program) kmsCreateCmd() *cobra.Command {
	var o kmsCreateFlags
	c := p.verb("create FILE --provider NAME --server-key ID", "Make a key under a key of a key service and print the key's ID", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.kmsCreate(ctx, args[0], &o) })
	c.Long = `Make a new key, have a key service wrap it under a key that never leaves the
service, and write FILE, a KMS key file. Use it with --kms-keyfile FILE.

Credentials come from the provider's usual chain: for AWS the environment
(AWS_ACCESS_KEY_ID …), profiles, SSO, roles, instance metadata; for Azure
AZURE_TENANT_ID and AZURE_CLIENT_ID with a secret, certificate or federated
token, managed identities, az login. They are never written into FILE. AWS needs
the permissions kms:Encrypt and kms:Decrypt, Azure wrapKey and unwrapKey.

With --backup the key is also copied into a key file, whose administrator --admin
names; one that is not there is made. Without it, data is lost with the service's key.`
	o.place.register(c)
	o.service.register(c)
	o.keys.register(c, false)
	o.strength.register(c)
	bitsFlag(c, &o.bits)
	c.Flags().StringVar(&o.description, "description", "", "what the key is for")
	c.Flags().StringVar(&o.backup, "backup", "", "key `FILE` that gets a copy of the key; its administrator is --admin")
	_ = c.MarkFlagRequired("provider")   // these fail only for an unknown flag
	_ = c.MarkFlagRequired("server-key") //
	return c
}

func (p *program) kmsCreate(ctx context.Context, path string, o *kmsCreateFlags) error {
	if err := checkBits(o.bits); err != nil {
		return err
	}
	if err := mustNotExist(path); err != nil {
		return err
	}
	place, err := o.place.parse()
	if err != nil {
		return err
	}
	p.warnLocal(place.Provider)
	backup, err := p.backupFor(ctx, &o.keys, o.backup, &o.strength)
	if err != nil {
		return err
	}
	if backup != nil {
		defer secmem.Wipe(backup.Admin.Password)
	}
	f, err := kms.Create(ctx, path, kms.CreateOptions{Options: *p.kmsOptions(&o.service), Place: place, Bits: o.bits,
		Description: o.description, Backup: backup})
	if err != nil {
		return err
	}
	if backup == nil {
		p.note("no backup: data under the key is lost if the service's key or %s is. coffer kms copy %s KEYFILE makes one.", path, path)
	}
	return p.print("%s", f.ID())
}

func (p *program) warnLocal(provider string) {
	if strings.EqualFold(provider, "local") {
		p.warn("%s", kms.LocalWarning)
	}
}

// backupFor returns the key file to copy a key into, nil for none: one that is
// there is opened, one that is not gets a new administrator.
func (p *program) backupFor(ctx context.Context, ks *keyFlags, path string, strength *strengthFlag) (*kms.Backup, error) {
	if path == "" {
		_, err := p.sources(ks) // refuses an administrator of nothing
		return nil, err
	}
	list, err := p.sources(ks, path)
	if err != nil {
		return nil, err
	}
	b := &kms.Backup{Path: path, Options: *strength.options()}
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if b.Admin, err = p.newCredentials(ctx, list[0]); err == nil {
			p.warnWeak(b.Admin.Password)
		}
		return b, err
	case err != nil:
		return nil, err
	}
	f, err := p.openKeyfile(ctx, list[0], nil) // a wrong password shows before a service is asked
	if err != nil {
		return nil, err
	}
	f.Close()
	b.Admin, err = p.credentials(ctx, list[0])
	return b, err
}

func (p *program) kmsShowCmd() *cobra.Command {
	var asJSON bool
	c := p.verb("show FILE [--json]", "Show what a KMS key file says; asks nobody", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error { return p.kmsShow(args[0], asJSON) })
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) kmsShow(path string, asJSON bool) error {
	f, err := openKMS(path, p.kmsOptions(nil))
	if err != nil {
		return err
	}
	info := f.Info()
	if asJSON {
		return p.printJSON(info)
	}
	p.warnLocal(info.Provider)
	return p.printKMS(path, info)
}

func (p *program) printKMS(path string, info kms.Info) error {
	const when = "2006-01-02 15:04"
	t := p.table()
	t.row("KMS key file", path)
	t.row("key", info.KeyID)
	t.row("bits", info.Bits)
	t.row("created", info.Created.Format(when))
	t.row("wrapped", info.Wrapped.Format(when))
	t.row("generation", info.Generation)
	t.row("provider", info.Provider)
	t.row("server key", info.ServerKey)
	for _, r := range []struct{ name, value string }{{"wrapped by", info.WrappedBy}, {"algorithm", info.Algorithm},
		{"region", info.Region}, {"endpoint", info.Endpoint}, {"description", info.Description}} {
		if r.value != "" {
			t.row(r.name, r.value)
		}
	}
	for _, entry := range environment(info.Env) {
		t.row("environment", entry)
	}
	return t.flush()
}

// openKMS reads a KMS key file.
func openKMS(path string, o *kms.Options) (*kms.File, error) {
	if err := mustBeFile("KMS key file", path); err != nil {
		return nil, err
	}
	f, err := kms.Open(path, o)
	if errors.Is(err, fault.NotFormat) {
		return nil, say(err, "%s is not a KMS key file", path)
	}
	if err != nil {
		return nil, aboutSource("KMS key file "+path, err)
	}
	return f, nil
}

// kmsRemotes are KMS key files as sources of keys.
func (p *program) kmsRemotes(paths []string) ([]remote, error) {
	var list []remote
	for _, path := range paths {
		f, err := openKMS(path, p.kmsOptions(nil))
		if err != nil {
			return nil, err
		}
		list = append(list, remote{name: "KMS key file " + path, ids: []dek.ID{f.ID()}, source: f, away: kms.Away})
	}
	return list, nil
}

func (p *program) kmsCopyCmd() *cobra.Command {
	var ks keyFlags
	var service serviceFlags
	var strength strengthFlag
	c := p.verb("copy FILE KEYFILE", "Copy the key of a KMS key file into a key file, for backup and outages", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return p.kmsCopy(ctx, args[0], args[1], &ks, &service, &strength)
		})
	c.Long = `Have the service unwrap the key of FILE, and put a copy of it into KEYFILE, which
--admin opens. A KEYFILE that is not there is made. The copy opens without the
service: keep it as you keep the data's backups, and apart from them.

With --offline-keyfile KEYFILE beside --kms-keyfile FILE the copy is used, with a
warning, while the service is out of reach. It is not used where the service says no.`
	ks.register(c, false)
	service.register(c)
	strength.register(c)
	return c
}

func (p *program) kmsCopy(ctx context.Context, path, to string, ks *keyFlags, service *serviceFlags, strength *strengthFlag) error {
	f, err := openKMS(path, p.kmsOptions(service))
	if err != nil {
		return err
	}
	b, err := p.backupFor(ctx, ks, to, strength)
	if err != nil {
		return err
	}
	defer secmem.Wipe(b.Admin.Password)
	k, err := f.Key(ctx)
	if err != nil {
		return aboutSource("KMS key file "+path, err)
	}
	defer k.Destroy()
	if err := b.Keep(k, copied(f.Info())); err != nil {
		return aboutKeyfile(to, err)
	}
	return p.print("%s: key %s of %s", to, k.ID(), path)
}

// copied is the description of a copy.
func copied(info kms.Info) string {
	text := fmt.Sprintf("copy of a key under %s", info.Provider)
	if n := len(info.Description); n > 0 && n+len(text)+2 <= keyfile.MaxDescription {
		text = info.Description + ", " + text
	}
	return text
}
