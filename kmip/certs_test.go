package kmip

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// authority is a CA of a test's own, with files in a folder.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	n    int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{t: t, dir: t.TempDir(), key: key, n: 1}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) ca() string { return filepath.Join(a.dir, "ca.pem") }

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// leaf is a certificate to issue: for 127.0.0.1 and localhost where nothing else is said.
type leaf struct {
	name       string
	usage      x509.ExtKeyUsage
	rsa        bool
	dns        []string // in place of 127.0.0.1 and localhost
	start, end time.Duration
}

// issue writes NAME.crt and NAME.key.
func (a *authority) issue(l leaf) (cert, key string) {
	a.t.Helper()
	a.n++
	var signer crypto.Signer
	var err error
	if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); l.rsa {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(a.t, err)
	if l.end == 0 {
		l.start, l.end = -time.Hour, time.Hour
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: l.name},
		NotBefore: time.Now().Add(l.start), NotAfter: time.Now().Add(l.end), ExtKeyUsage: []x509.ExtKeyUsage{l.usage},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	if l.usage == x509.ExtKeyUsageServerAuth || l.dns != nil {
		tmpl.DNSNames = []string{"localhost"}
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if l.dns != nil {
		tmpl.DNSNames, tmpl.IPAddresses = l.dns, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, signer.Public(), a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	require.NoError(a.t, err)
	return a.write(l.name+".crt", "CERTIFICATE", der), a.write(l.name+".key", "PRIVATE KEY", private)
}

func (a *authority) server() (cert, key string) {
	return a.issue(leaf{name: "server", usage: x509.ExtKeyUsageServerAuth})
}

func (a *authority) client(name string) (cert, key string) {
	return a.issue(leaf{name: name, usage: x509.ExtKeyUsageClientAuth})
}
