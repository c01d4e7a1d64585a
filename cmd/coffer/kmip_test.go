package main

import (
	"crypto/x509"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cofferdb/coffer/internal/kmiptest"
)

// TestKMIPScripts runs testdata/kmip against a real PyKMIP server.
func TestKMIPScripts(t *testing.T) {
	p := kmiptest.Start(t)
	cert, key := p.CA.Client("anna")
	oldCert, oldKey := p.CA.Issue(kmiptest.Leaf{Name: "wrong", Usage: x509.ExtKeyUsageServerAuth})
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/kmip",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{envKeyfile, envKMSKeyfile, envAdmin, envPasswordFile, envCredential, envKMIP, envKMIPConfig} {
				env.Setenv(name, "")
			}
			for name, value := range map[string]string{"PORT": strconv.Itoa(p.Port), "CA": p.CA.CA(), "CERT": cert, "KEY": key,
				"WRONGCERT": oldCert, "WRONGKEY": oldKey, "DEADPORT": strconv.Itoa(kmiptest.DeadPort)} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "save": save},
	})
}
