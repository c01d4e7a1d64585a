package kms

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// maxCAFile bounds a file of certificates, in bytes.
const maxCAFile = 1 << 20

// checkURL takes https, and http only where the connection never leaves this machine.
func checkURL(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, usage("%s is a URL such as https://host:port", what)
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fault.Hint(usage("%s: only https, or http to this machine's own loopback address", what),
		"Keys would cross the network in clear.")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// httpClient trusts the system's authorities, or those of a file alone.
func httpClient(o *Options) (*http.Client, error) {
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives: true, // a request or two: no connection outlives them
	}
	if o.Private.CAFile != "" {
		pool, err := readCA(o.FS, o.Private.CAFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return &http.Client{Transport: limited{t}, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func readCA(fsys fsx.FS, path string) (*x509.CertPool, error) {
	pem, err := readFile(fsys, path, maxCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, usage("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// maxAnswer bounds an answer's body, in bytes: the largest one is a token or a
// wrapped key, each of a few thousand.
const maxAnswer = 1 << 20

// limited fails an answer that is longer than any of a key service.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limitedBody{res.Body, maxAnswer}
	return res, nil
}

// limitedClient does the same around a client of AWS's library.
type limitedClient struct {
	client interface {
		Do(*http.Request) (*http.Response, error)
	}
}

// Do implements the library's HTTPClient.
func (l limitedClient) Do(r *http.Request) (*http.Response, error) {
	res, err := l.client.Do(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limitedBody{res.Body, maxAnswer}
	return res, nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
}

var errTooLong = fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxAnswer)

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func isTLS(err error) bool {
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	return errors.As(err, &record) || errors.As(err, &verify) || errors.As(err, &alert) || speaksPlain(err)
}

// speaksPlain: net/http looks into the record's error itself, and puts a text in its place.
func speaksPlain(err error) bool {
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// tlsMessage is the part of an error of TLS that says why.
func tlsMessage(err error) string {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &verify):
		return verify.Err.Error()
	case errors.As(err, &record), speaksPlain(err):
		return "the server does not speak TLS"
	}
	return "the handshake failed"
}

func isCut(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), "server closed idle connection")
}

// parseAfter reads Retry-After in seconds, at most a minute.
func parseAfter(h http.Header) time.Duration {
	d, err := time.ParseDuration(h.Get("Retry-After") + "s")
	if err != nil || d < 0 {
		return 0
	}
	return min(d, time.Minute)
}
