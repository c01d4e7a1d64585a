package kmip

import (
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
)

// Defaults of a server configuration, and its bounds.
const (
	DefaultPort       = 5696 // registered for KMIP
	DefaultTimeout    = 10 * time.Second
	DefaultMaxMessage = 1 << 20 // bytes
	DefaultMaxKeys    = 1000
	MaxReconnect      = 100
	MaxHosts          = 16
	MaxSavedKeys      = 256
)

// Server is one server configuration. Secrets are named by the paths of the
// files that hold them, never held. Required: Name, Hosts, CA, and either Cert
// and Key or User and PasswordFile.
type Server struct {
	// Name is what the configuration is called: 1 to 64 letters, digits, dots, dashes and underscores.
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Hosts are names or addresses of one server, tried in order, at most [MaxHosts]. Each may
	// carry a port of its own, as in "[::1]:5697".
	Hosts []string `json:"hosts"`
	// Port is for hosts without one; 0 is [DefaultPort].
	Port int `json:"port,omitempty"`
	// Version pins the protocol version; the zero value takes the highest in common.
	Version Version `json:"version"`

	// CA is a PEM file with the certificates that sign the server's.
	CA string `json:"ca"`
	// Cert and Key are PEM files: the client's certificate, with its chain, and private key.
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
	// ServerName is the name to find in the server's certificate; "" is the host.
	ServerName string `json:"server_name,omitempty"`
	// TLS13 refuses TLS 1.2.
	TLS13 bool `json:"tls13_only,omitempty"`
	// LegacyCiphers also offers suites with CBC and without forward secrecy, for old servers.
	LegacyCiphers bool `json:"legacy_ciphers,omitempty"`
	// User and PasswordFile are a credential sent with every request, inside TLS.
	User         string `json:"user,omitempty"`
	PasswordFile string `json:"password_file,omitempty"`

	// Timeout is for connecting to one address, TLS included, and for every operation; 0 is [DefaultTimeout].
	Timeout Duration `json:"timeout,omitempty"`
	// Reconnect is how often a broken connection is tried again, with back-off; 0 is never, which is advised.
	Reconnect int `json:"reconnect,omitempty"`
	// LogMessages logs every message, without keys and passwords.
	LogMessages bool `json:"log_messages,omitempty"`
	// DebugTLS logs what the two sides agreed on, and their certificates.
	DebugTLS bool `json:"debug_tls,omitempty"`

	// Keys are the keys to fetch where none is named: GUIDs or the server's identifiers, at most [MaxSavedKeys].
	Keys []string `json:"keys,omitempty"`
}

// Duration is a time.Duration that is written as "10s".
type Duration time.Duration

// MarshalText returns the form of time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads the form of time.Duration.
func (d *Duration) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	if err != nil {
		return usage("a time is written as 10s or 1m30s")
	}
	*d = Duration(t)
	return nil
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Check says what is wrong with the configuration, without looking at files or
// the network. The error matches [ErrUsage].
func (s *Server) Check() error {
	switch {
	case !goodName.MatchString(s.Name):
		return usage("a server's name has 1 to 64 letters, digits, dots, dashes and underscores")
	case len(s.Hosts) == 0 || len(s.Hosts) > MaxHosts:
		return usage("server %s: %d hosts; 1 to %d are possible", s.Name, len(s.Hosts), MaxHosts)
	case s.Port < 0 || s.Port > 65535:
		return usage("server %s: port %d", s.Name, s.Port)
	case s.CA == "":
		return fault.Hint(usage("server %s: no CA certificate", s.Name), "Give --ca FILE: the certificate that signed the server's.")
	case (s.Cert == "") != (s.Key == ""):
		return usage("server %s: certificate and private key go together", s.Name)
	case (s.User == "") != (s.PasswordFile == ""):
		return usage("server %s: user and password file go together", s.Name)
	case s.Cert == "" && s.User == "":
		return fault.Hint(usage("server %s: nothing says who this client is", s.Name),
			"Give --cert FILE and --key FILE, or --user NAME and --password-file FILE.")
	case s.Timeout < 0 || s.Timeout > Duration(time.Hour):
		return usage("server %s: a time-out of %s; up to 1h is possible", s.Name, time.Duration(s.Timeout))
	case s.Reconnect < 0 || s.Reconnect > MaxReconnect:
		return usage("server %s: %d reconnections; 0 to %d are possible", s.Name, s.Reconnect, MaxReconnect)
	case len(s.Keys) > MaxSavedKeys:
		return usage("server %s: %d keys; at most %d are possible", s.Name, len(s.Keys), MaxSavedKeys)
	}
	for _, h := range s.Hosts {
		if host, _ := s.hostPort(h); host == "" {
			return usage("server %s: %q is no host", s.Name, h)
		}
	}
	for _, k := range s.Keys {
		if checkServerID(k) != nil {
			return usage("server %s: %q is no identifier of a key", s.Name, k)
		}
	}
	return nil
}

// hostPort splits an entry of Hosts; host is "" where it is malformed.
func (s *Server) hostPort(entry string) (host, port string) {
	if host, port, err := net.SplitHostPort(entry); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return "", ""
		}
		return host, port
	}
	n := s.Port
	if n == 0 {
		n = DefaultPort
	}
	return trimBrackets(entry), strconv.Itoa(n)
}

// trimBrackets accepts "[::1]" without a port.
func trimBrackets(host string) string {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

func (s *Server) timeout() time.Duration {
	if s.Timeout == 0 {
		return DefaultTimeout
	}
	return time.Duration(s.Timeout)
}
