package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cofferdb/coffer/kmip"
)

// serverFlags are what kmip server create and edit can say.
type serverFlags struct {
	at          kmipFlags
	hosts       []string
	port        int
	version     string
	ca          string
	cert        string
	key         string
	serverName  string
	tls13       bool
	legacy      bool
	user        string
	password    string
	timeout     time.Duration
	reconnect   int
	logMessages bool
	debugTLS    bool
	description string
	keys        []string
}

func (o *serverFlags) register(c *cobra.Command) {
	o.at.register(c)
	f := c.Flags()
	f.StringArrayVar(&o.hosts, "host", nil, "`HOST` name or address, with a port of its own if it has one; may be repeated: they are tried in order, and take the place of those before")
	f.IntVar(&o.port, "port", kmip.DefaultPort, "`PORT` of hosts without one")
	f.StringVar(&o.version, "version", "auto", "protocol `VERSION`: 1.0 to 1.4, 2.0, 2.1, or auto for the highest in common")
	f.StringVar(&o.ca, "ca", "", "PEM `FILE` with the certificate of the CA that signed the server's")
	f.StringVar(&o.cert, "cert", "", "PEM `FILE` with this client's certificate")
	f.StringVar(&o.key, "key", "", "PEM `FILE` with the certificate's private key")
	f.StringVar(&o.key, "tls-key", "", "another name of --key")
	f.StringVar(&o.serverName, "server-name", "", "`NAME` to find in the server's certificate; else the host")
	f.BoolVar(&o.tls13, "tls13-only", false, "refuse TLS 1.2")
	f.BoolVar(&o.legacy, "legacy-ciphers", false, "also offer old cipher suites (CBC, no forward secrecy)")
	f.StringVar(&o.user, "user", "", "`NAME` to send with every request, for servers that want one")
	f.StringVar(&o.password, "password-file", "", "`FILE` with the user's password; it is read at each connection")
	f.DurationVar(&o.timeout, "timeout", kmip.DefaultTimeout, "`TIME` to wait for a connection and for each answer")
	f.IntVar(&o.reconnect, "reconnect", 0, "`TIMES` to try a broken connection again; 0 is advised")
	f.BoolVar(&o.logMessages, "log-messages", false, "log every message, without keys and passwords")
	f.BoolVar(&o.debugTLS, "debug-tls", false, "log what TLS agreed on, and both certificates")
	f.StringVar(&o.description, "description", "", "what the server is for")
	f.StringArrayVar(&o.keys, "save-key", nil, "`ID` of a key to fetch where none is named (unattended start); may be repeated; these take the place of all saved before, and '' saves none")
}

// apply changes s by the flags that were given; for a new one, by all.
func (o *serverFlags) apply(c *cobra.Command, s *kmip.Server, all bool) error {
	given := func(names ...string) bool {
		for _, n := range names {
			if all || c.Flags().Changed(n) {
				return true
			}
		}
		return false
	}
	if given("version") {
		v, err := kmip.ParseVersion(o.version)
		if err != nil {
			return err
		}
		s.Version = v
	}
	for _, f := range []struct {
		given bool
		to    *string
		path  string
	}{{given("ca"), &s.CA, o.ca}, {given("cert"), &s.Cert, o.cert}, {given("key", "tls-key"), &s.Key, o.key}, {given("password-file"), &s.PasswordFile, o.password}} {
		if f.given {
			path, err := absolute(f.path)
			if err != nil {
				return err
			}
			*f.to = path
		}
	}
	set(given("host"), &s.Hosts, o.hosts)
	set(given("port"), &s.Port, o.port)
	set(given("server-name"), &s.ServerName, o.serverName)
	set(given("tls13-only"), &s.TLS13, o.tls13)
	set(given("legacy-ciphers"), &s.LegacyCiphers, o.legacy)
	set(given("user"), &s.User, o.user)
	set(given("timeout"), &s.Timeout, kmip.Duration(o.timeout))
	set(given("reconnect"), &s.Reconnect, o.reconnect)
	set(given("log-messages"), &s.LogMessages, o.logMessages)
	set(given("debug-tls"), &s.DebugTLS, o.debugTLS)
	set(given("description"), &s.Description, o.description)
	if slices.Equal(o.keys, []string{""}) {
		o.keys = nil
	}
	set(given("save-key"), &s.Keys, o.keys)
	return s.Check()
}

func set[T any](given bool, to *T, value T) {
	if given {
		*to = value
	}
}

func (p *program) kmipServerCreateCmd() *cobra.Command {
	var o serverFlags
	var c *cobra.Command
	c = p.verb("create NAME --host HOST --ca FILE --cert FILE --key FILE", "Make a server configuration", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			s := kmip.Server{Name: args[0]}
			if err := o.apply(c, &s, true); err != nil {
				return err
			}
			return p.changeKMIP(ctx, &o.at, func(conf *kmip.Config) error { return conf.Add(s) })
		})
	c.Long = "Make a server configuration. Nothing is asked of the server: coffer kmip server test does that."
	o.register(c)
	return c
}

func (p *program) kmipServerEditCmd() *cobra.Command {
	var o serverFlags
	var rename string
	var c *cobra.Command
	c = p.verb("edit NAME [--host HOST] …", "Change a server configuration: what is given, nothing else", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return p.changeKMIP(ctx, &o.at, func(conf *kmip.Config) error {
				s, err := conf.Server(args[0])
				if err != nil {
					return err
				}
				if rename != "" {
					s.Name = rename
				}
				if err := o.apply(c, &s, false); err != nil {
					return err
				}
				return conf.Put(args[0], s)
			})
		})
	o.register(c)
	c.Flags().StringVar(&rename, "rename", "", "new `NAME`")
	return c
}

func (p *program) changeKMIP(ctx context.Context, at *kmipFlags, change func(*kmip.Config) error) error {
	path, err := p.kmipConfigPath(at)
	if err != nil {
		return err
	}
	return kmip.UpdateConfig(ctx, nil, path, change)
}

func (p *program) kmipServerDeleteCmd() *cobra.Command {
	var at kmipFlags
	var yes bool
	c := p.verb("delete NAME", "Delete a server configuration; the server and its keys stay", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			if _, err := p.kmipServer(&at, args[0]); err != nil {
				return err
			}
			if err := p.confirm(ctx, yes, "Delete the configuration of server "+args[0]+"?"); err != nil {
				return err
			}
			return p.changeKMIP(ctx, &at, func(conf *kmip.Config) error { return conf.Remove(args[0]) })
		})
	at.register(c)
	yesFlag(c, &yes)
	return c
}

func (p *program) kmipServerListCmd() *cobra.Command {
	var at kmipFlags
	var asJSON bool
	c := p.verb("list [--json]", "List the server configurations", cobra.NoArgs,
		func(context.Context, []string) error { return p.kmipServerList(&at, asJSON) })
	at.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) kmipServerList(at *kmipFlags, asJSON bool) error {
	path, err := p.kmipConfigPath(at)
	if err != nil {
		return err
	}
	conf, err := kmip.LoadConfig(nil, path)
	if err != nil {
		return err
	}
	if asJSON {
		if conf.Servers == nil {
			conf.Servers = []kmip.Server{}
		}
		return p.printJSON(conf.Servers)
	}
	t := p.table()
	t.row("NAME", "HOSTS", "PORT", "VERSION", "DESCRIPTION")
	for _, s := range conf.Servers {
		t.row(s.Name, strings.Join(s.Hosts, ","), s.Port, s.Version, s.Description)
	}
	return t.flush()
}

func (p *program) kmipServerShowCmd() *cobra.Command {
	var at kmipFlags
	var asJSON bool
	c := p.verb("show NAME [--json]", "Show a server configuration", cobra.ExactArgs(1),
		func(_ context.Context, args []string) error {
			s, err := p.kmipServer(&at, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(s)
			}
			return p.printKMIPServer(s)
		})
	at.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) printKMIPServer(s kmip.Server) error {
	t := p.table()
	row := func(name, value string) {
		if value != "" {
			t.row(name, value)
		}
	}
	row("server", s.Name)
	row("description", s.Description)
	row("hosts", strings.Join(s.Hosts, ", "))
	t.row("port", s.Port)
	row("protocol version", s.Version.String())
	row("CA", s.CA)
	row("certificate", s.Cert)
	row("private key", s.Key)
	row("server's name", s.ServerName)
	t.row("TLS 1.3 only", onOff(s.TLS13))
	t.row("legacy cipher suites", onOff(s.LegacyCiphers))
	row("user", s.User)
	row("password file", s.PasswordFile)
	row("time-out", time.Duration(s.Timeout).String())
	t.row("reconnect", s.Reconnect)
	t.row("log messages", onOff(s.LogMessages))
	t.row("debug TLS", onOff(s.DebugTLS))
	for _, k := range s.Keys {
		t.row("saved key", k)
	}
	return t.flush()
}

// probed is one step of kmip server test --json.
type probed struct {
	Step   kmip.Step `json:"step"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail,omitempty"`
	Error  string    `json:"error,omitempty"`
}

func (p *program) kmipServerTestCmd() *cobra.Command {
	var at kmipFlags
	var asJSON bool
	c := p.verb("test NAME [--json]", "Try step by step what works with a server; changes nothing there", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error { return p.kmipServerTest(ctx, &at, args[0], asJSON) })
	c.Long = "Try step by step what works with a server: certificates, name resolution, connection, TLS with both certificates' " +
		"subjects and expiry, protocol versions, operations, permission to look for keys, and each saved key, which is fetched and let go of. Nothing is changed on the server."
	at.register(c)
	jsonFlag(c, &asJSON)
	return c
}

func (p *program) kmipServerTest(ctx context.Context, at *kmipFlags, name string, asJSON bool) error {
	s, err := p.kmipServer(at, name)
	if err != nil {
		return err
	}
	steps, failed := kmip.Probe(ctx, s, &kmip.Options{Log: p.logger()})
	list := []probed{}
	for _, st := range steps {
		row := probed{Step: st.Step, OK: st.Err == nil, Detail: st.Detail}
		if st.Err != nil {
			row.Error = oneLine(st.Err.Error())
		}
		list = append(list, row)
	}
	if asJSON {
		if err := p.printJSON(list); err != nil {
			return err
		}
		return failed
	}
	t := p.table()
	for _, row := range list {
		if row.OK {
			t.row("ok", row.Step, row.Detail)
		} else {
			t.row("FAILED", row.Step, row.Error)
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	return failed
}
