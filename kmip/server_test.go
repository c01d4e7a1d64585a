package kmip

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/cofferdb/coffer/internal/kmiptest"
)

const serverAuth = x509.ExtKeyUsageServerAuth

// pykmip is a real server, and who may be its client.
type pykmip struct{ *kmiptest.PyKMIP }

func startPyKMIP(t *testing.T, cert ...kmiptest.Leaf) pykmip {
	t.Helper()
	return pykmip{kmiptest.Start(t, cert...)}
}

// as is the configuration of a client of that name.
func (p pykmip) as(name string) Server {
	cert, key := p.CA.Client(name)
	return Server{Name: "py", Hosts: []string{"127.0.0.1"}, Port: p.Port, CA: p.CA.CA(), Cert: cert, Key: key, Timeout: Duration(time.Minute)}
}
