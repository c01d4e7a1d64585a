package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/kmip"
)

// envKMIP names a server configuration in place of --kmip.
const envKMIP = "COFFER_KMIP"

// kmipSources are the servers that --kmip names, each with the keys that the
// --kmip-key flags behind it name.
type kmipSources struct {
	at      kmipFlags
	servers []kmipNamed
}

type kmipNamed struct {
	name string
	keys []string // none: those that the configuration saves
}

func (k *kmipSources) register(f *pflag.FlagSet) {
	f.Var(kmipNameFlag{k}, "kmip", "`NAME` of a KMIP server whose keys to activate; may be repeated ("+envKMIP+")")
	f.Var(kmipKeyFlag{k}, "kmip-key", "`ID` of a key on the server before it, its GUID or the server's identifier; may be repeated; else the saved ones")
	f.StringVar(&k.at.config, "kmip-config", "", "`FILE` of server configurations ("+envKMIPConfig+")")
}

// kmipNameFlag is --kmip: it begins with a server.
type kmipNameFlag struct{ to *kmipSources }

var _, _ pflag.Value = kmipNameFlag{}, kmipKeyFlag{}

// Set implements [pflag.Value].
func (f kmipNameFlag) Set(name string) error {
	f.to.servers = append(f.to.servers, kmipNamed{name: name})
	return nil
}

// Type implements [pflag.Value].
func (kmipNameFlag) Type() string { return "name" }

// String implements [pflag.Value]. There is no default to show.
func (kmipNameFlag) String() string { return "" }

// kmipKeyFlag is --kmip-key: it adds a key to the server before it.
type kmipKeyFlag struct{ to *kmipSources }

// Set implements [pflag.Value].
func (f kmipKeyFlag) Set(id string) error {
	n := len(f.to.servers)
	if n == 0 {
		return fmt.Errorf("it belongs to a server: write --kmip NAME before it")
	}
	f.to.servers[n-1].keys = append(f.to.servers[n-1].keys, id)
	return nil
}

// Type implements [pflag.Value].
func (kmipKeyFlag) Type() string { return "id" }

// String implements [pflag.Value]. There is no default to show.
func (kmipKeyFlag) String() string { return "" }

// fromEnvironment names the server that the environment does.
func (k *kmipSources) fromEnvironment(p *program) {
	k.servers = nil
	if name := p.getenv(envKMIP); name != "" {
		k.servers = []kmipNamed{{name: name}}
	}
}

// kmipRemotes are the servers that the flags name. Nobody is asked yet.
func (p *program) kmipRemotes(k *kmipSources) ([]remote, error) {
	var list []remote
	for _, n := range k.servers {
		s, err := p.kmipServer(&k.at, n.name)
		if err != nil {
			return nil, err
		}
		ids := n.keys
		if len(ids) == 0 {
			ids = s.Keys
		}
		src := &kmip.Source{Server: s, IDs: ids, Options: &kmip.Options{Log: p.logger()}}
		list = append(list, remote{name: "KMIP server " + n.name, ids: guidsOf(ids), source: src, away: kmip.Away})
	}
	return list, nil
}

// kmipNeeds returns the server of the flags that cannot be asked without the file
// path: the configuration, a certificate, a private key, a password. "" is none.
func (p *program) kmipNeeds(k *keyFlags, path string) (string, error) {
	from := k.kmip
	if len(k.files)+len(k.kms)+len(from.servers) == 0 {
		from.fromEnvironment(p)
	}
	for _, n := range from.servers {
		s, err := p.kmipServer(&from.at, n.name)
		if err != nil {
			return "", err
		}
		conf, err := p.kmipConfigPath(&from.at)
		if err != nil {
			return "", err
		}
		for _, file := range []string{conf, s.CA, s.Cert, s.Key, s.PasswordFile} {
			if file != "" && sameFile(path, file) {
				return n.name, nil
			}
		}
	}
	return "", nil
}

// guidsOf returns the GUIDs, or nil where some of the IDs are the server's own:
// which keys those mean only the server knows.
func guidsOf(texts []string) []dek.ID {
	var ids []dek.ID
	for _, t := range texts {
		id, err := dek.ParseID(strings.TrimSpace(t))
		if err != nil {
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}
