package kmip

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cofferdb/coffer/fips"
	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/secmem"
)

// tlsConfig reads the certificates of s and checks this side's own, so that
// what is wrong with them is said here and not by the server, in one byte.
func tlsConfig(s *Server, now time.Time) (*tls.Config, error) {
	pool, err := readCA(s.CA)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if s.TLS13 {
		c.MinVersion = tls.VersionTLS13
	}
	if s.LegacyCiphers {
		if fips.Enabled() {
			return nil, fmt.Errorf("legacy cipher suites in FIPS mode: %w", fault.Unsupported)
		}
		c.CipherSuites = legacySuites()
	}
	if s.Cert == "" {
		return c, nil
	}
	cert, err := loadPair(s.Cert, s.Key)
	if err != nil {
		return nil, fault.Hint(fmt.Errorf("the client's certificate %s and private key %s: %w", s.Cert, s.Key, err),
			"Both are PEM files; the key belongs to the certificate and has no password.")
	}
	if err := checkClientCert(cert.Leaf, s.Cert, now); err != nil {
		return nil, err
	}
	c.Certificates = []tls.Certificate{cert}
	return c, nil
}

// maxPEM bounds a file of certificates, a private key or a password, in bytes.
const maxPEM = 1 << 20

// readBounded reads a file that may be a pipe, and no more of it than is allowed.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(data) > maxPEM {
		err = usage("%s has more than %d bytes", path, maxPEM)
	}
	if err != nil {
		secmem.Wipe(data)
		return nil, err
	}
	return data, nil
}

// loadPair is tls.LoadX509KeyPair with a bound.
func loadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := readBounded(cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := readBounded(key)
	defer secmem.Wipe(keyPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

func readCA(path string) (*x509.CertPool, error) {
	pem, err := readBounded(path)
	if err != nil {
		return nil, fmt.Errorf("the CA's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fault.Hint(usage("no certificate in %s", path), "The CA's certificate is a PEM file (-----BEGIN CERTIFICATE-----).")
	}
	return pool, nil
}

// checkClientCert refuses what no server accepts.
func checkClientCert(cert *x509.Certificate, path string, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fault.Hint(fmt.Errorf("the client's certificate %s expired on %s", path, day(cert.NotAfter)), "Have a new one issued, then: coffer kmip server edit.")
	case now.Before(cert.NotBefore):
		return fault.Hint(fmt.Errorf("the client's certificate %s is valid from %s on", path, day(cert.NotBefore)), "Is this machine's clock right?")
	case len(cert.ExtKeyUsage) > 0 && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageAny):
		return fault.Hint(fmt.Errorf("the client's certificate %s is not for clients", path), "Its extended key usage must have clientAuth.")
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// legacySuites are all that Go knows for TLS 1.2 but RC4 and 3DES, the safe ones first.
func legacySuites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !strings.Contains(s.Name, "RC4") && !strings.Contains(s.Name, "3DES") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// explainTLS says in words what a failed handshake means.
func explainTLS(s *Server, host string, err error) (kind, cause error) {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		name     x509.HostnameError
		noTLS    tls.RecordHeaderError
		netErr   net.Error
		verifies *tls.CertificateVerificationError
	)
	errors.As(err, &verifies)
	alert, alerted := alertOf(err)
	switch {
	case errors.As(err, &name):
		return ErrTLS, fault.Hint(fmt.Errorf("the server's certificate is for %s, not for %s", namesOf(name.Certificate), host),
			"If that is the right server: --server-name NAME, one that its certificate has.")
	case errors.As(err, &unknown):
		return ErrTLS, fault.Hint(fmt.Errorf("the server's certificate%s is not signed by the CA in %s", issuerOf(verifies), s.CA),
			"Give --ca the certificate of the CA that signed it, got from whoever runs the server.")
	case errors.As(err, &invalid):
		return ErrTLS, explainInvalid(invalid)
	case alerted:
		return ErrTLS, explainAlert(s, alert)
	case errors.As(err, &noTLS):
		return ErrTLS, fault.Hint(errors.New("what answers there does not speak TLS"), "Is it the right port? KMIP's is 5696.")
	case errors.As(err, &netErr) && netErr.Timeout():
		return ErrUnreachable, fmt.Errorf("no answer within %s", s.timeout())
	}
	return ErrTLS, err
}

func namesOf(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	if n := len(names); n > maxShownHosts {
		return strings.Join(shownAll(names, maxShownHosts), ", ") + fmt.Sprintf(" and %d more", n-maxShownHosts)
	}
	return strings.Join(shownAll(names, maxShownHosts), ", ")
}

func issuerOf(v *tls.CertificateVerificationError) string {
	if v == nil || len(v.UnverifiedCertificates) == 0 {
		return ""
	}
	return fmt.Sprintf(" (issued by %q)", v.UnverifiedCertificates[0].Issuer.String())
}

func explainInvalid(e x509.CertificateInvalidError) error {
	switch e.Reason {
	case x509.Expired:
		if e.Cert != nil && time.Now().Before(e.Cert.NotBefore) {
			return fault.Hint(fmt.Errorf("the server's certificate is valid from %s on", day(e.Cert.NotBefore)), "Is this machine's clock right?")
		}
		if e.Cert != nil {
			return fault.Hint(fmt.Errorf("the server's certificate, or one that signed it, expired on %s", day(e.Cert.NotAfter)),
				"Whoever runs the server must renew it. Is this machine's clock right?")
		}
	case x509.IncompatibleUsage:
		return fault.Hint(errors.New("the server's certificate is not for servers"), "Its extended key usage must have serverAuth.")
	}
	return fmt.Errorf("the server's certificate: %w", e)
}

// Alerts by which a server refuses (RFC 8446, section 6.2).
const (
	alertHandshakeFailure     tls.AlertError = 40
	alertBadCertificate       tls.AlertError = 42
	alertAccessDenied         tls.AlertError = 49
	alertProtocolVersion      tls.AlertError = 70
	alertInsufficientSecurity tls.AlertError = 71
	alertCertificateRequired  tls.AlertError = 116
)

// alertOf returns the alert by which the other side refused. Package tls wraps
// a type of its own, a byte, which it does not export.
func alertOf(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return 0, false
	}
	return tls.AlertError(v.Uint()), true
}

func explainAlert(s *Server, a tls.AlertError) error {
	switch {
	case a >= alertBadCertificate && a <= alertAccessDenied || a == alertCertificateRequired:
		return fault.Hint(fmt.Errorf("the server refused the client's certificate %s: %w", s.Cert, a),
			"It must be signed by a CA that the server trusts, for clients, and be known to it.")
	case a == alertHandshakeFailure || a == alertInsufficientSecurity:
		return fault.Hint(fmt.Errorf("no cipher suite in common, or no certificate that fits: %w", a),
			"Old servers need --legacy-ciphers; better is to give them an ECDSA certificate.")
	case a == alertProtocolVersion:
		return fault.Hint(fmt.Errorf("no version of TLS in common: %w", a), "TLS 1.2 and 1.3 are spoken; --tls13-only leaves 1.2 out.")
	}
	return fmt.Errorf("the server ended the handshake: %w", a)
}
