package kmiptest

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

// Authority is a CA of a test's own, with files in a folder.
type Authority struct {
	t    testing.TB
	dir  string
	Cert *x509.Certificate
	key  crypto.Signer
	n    int64
}

// NewAuthority makes a CA whose files are gone when the test ends.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &Authority{t: t, dir: t.TempDir(), key: key, n: 1}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	a.Cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

// CA is the path of the CA's certificate.
func (a *Authority) CA() string { return filepath.Join(a.dir, "ca.pem") }

func (a *Authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// Leaf is a certificate to issue: for 127.0.0.1 and localhost where nothing else is said.
type Leaf struct {
	Name       string
	Usage      x509.ExtKeyUsage
	RSA        bool
	DNS        []string      // in place of 127.0.0.1 and localhost
	Start, End time.Duration // from now; both 0: an hour to both sides
}

// Issue writes NAME.crt and NAME.key.
func (a *Authority) Issue(l Leaf) (cert, key string) {
	a.t.Helper()
	a.n++
	var signer crypto.Signer
	var err error
	if signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); l.RSA {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(a.t, err)
	if l.End == 0 {
		l.Start, l.End = -time.Hour, time.Hour
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: l.Name},
		NotBefore: time.Now().Add(l.Start), NotAfter: time.Now().Add(l.End), ExtKeyUsage: []x509.ExtKeyUsage{l.Usage},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	if l.Usage == x509.ExtKeyUsageServerAuth || l.DNS != nil {
		tmpl.DNSNames = []string{"localhost"}
		tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if l.DNS != nil {
		tmpl.DNSNames, tmpl.IPAddresses = l.DNS, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.Cert, signer.Public(), a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	require.NoError(a.t, err)
	return a.write(l.Name+".crt", "CERTIFICATE", der), a.write(l.Name+".key", "PRIVATE KEY", private)
}

// Server issues a certificate for 127.0.0.1.
func (a *Authority) Server() (cert, key string) {
	return a.Issue(Leaf{Name: "server", Usage: x509.ExtKeyUsageServerAuth})
}

// Client issues a client's certificate for that name.
func (a *Authority) Client(name string) (cert, key string) {
	return a.Issue(Leaf{Name: name, Usage: x509.ExtKeyUsageClientAuth})
}
