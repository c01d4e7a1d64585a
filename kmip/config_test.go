package kmip

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

func plainServer(name string) Server {
	return Server{Name: name, Hosts: []string{"h", "[::1]:5697"}, CA: "/ca", Cert: "/cert", Key: "/key"}
}

func TestConfig(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "coffer", "kmip.json")
	c, err := LoadConfig(nil, path)
	require.NoError(t, err)
	require.Empty(t, c.Servers)
	full := plainServer("full")
	full.Version, full.Timeout, full.Keys, full.User, full.PasswordFile = V21, Duration(90*time.Second), []string{"1"}, "u", "/p"
	full.TLS13, full.LegacyCiphers, full.Reconnect, full.LogMessages, full.DebugTLS, full.Port = true, true, 3, true, true, 99
	full.Description, full.ServerName = "d", "n"
	require.NoError(t, UpdateConfig(ctx, nil, path, func(c *Config) error {
		return errors.Join(c.Add(full), c.Add(plainServer("b")))
	}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
	c, err = LoadConfig(nil, path)
	require.NoError(t, err)
	got, err := c.Server("full")
	require.NoError(t, err)
	require.Equal(t, full, got)
	require.ErrorIs(t, c.Add(full), ErrServerExists)
	require.ErrorIs(t, c.Put("none", full), ErrUnknownServer)
	require.ErrorIs(t, c.Put("b", full), ErrServerExists)
	require.NoError(t, c.Put("b", plainServer("c")))
	require.NoError(t, c.Remove("full"))
	require.ErrorIs(t, c.Remove("full"), ErrUnknownServer)
	require.Len(t, c.Servers, 1)

	before, err := os.ReadFile(path)
	require.NoError(t, err)
	no := errors.New("no")
	require.ErrorIs(t, UpdateConfig(ctx, nil, path, func(c *Config) error { c.Servers = nil; return no }), no)
	require.ErrorIs(t, UpdateConfig(ctx, nil, path, func(c *Config) error { c.Servers[0].Name = ""; return nil }), ErrUsage)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestServerCheck(t *testing.T) {
	good := plainServer("a")
	require.NoError(t, good.Check())
	for name, change := range map[string]func(s *Server){
		"no name":          func(s *Server) { s.Name = "" },
		"a space":          func(s *Server) { s.Name = "a b" },
		"a path":           func(s *Server) { s.Name = "../a" },
		"no host":          func(s *Server) { s.Hosts = nil },
		"empty host":       func(s *Server) { s.Hosts = []string{""} },
		"bad port":         func(s *Server) { s.Hosts = []string{"h:x"} },
		"many hosts":       func(s *Server) { s.Hosts = make([]string, 17) },
		"port":             func(s *Server) { s.Port = 65536 },
		"no CA":            func(s *Server) { s.CA = "" },
		"no key":           func(s *Server) { s.Key = "" },
		"nobody":           func(s *Server) { s.Key, s.Cert = "", "" },
		"user alone":       func(s *Server) { s.User = "u" },
		"negative time":    func(s *Server) { s.Timeout = -1 },
		"hours":            func(s *Server) { s.Timeout = Duration(2 * time.Hour) },
		"reconnects":       func(s *Server) { s.Reconnect = 101 },
		"many saved":       func(s *Server) { s.Keys = make([]string, 257) },
		"a version's name": func(s *Server) { s.Port = -1 },
	} {
		s := good
		change(&s)
		require.ErrorIs(t, s.Check(), ErrUsage, name)
	}
	for entry, want := range map[string][2]string{"h": {"h", "5696"}, "h:1": {"h", "1"}, "[::1]:2": {"::1", "2"}, "[::1]": {"::1", "5696"}, "::1": {"::1", "5696"}} {
		host, port := good.hostPort(entry)
		require.Equal(t, want, [2]string{host, port}, entry)
	}
}

func TestParseConfig(t *testing.T) {
	for text, want := range map[string]error{
		"x":                              fault.NotFormat,
		`{"format":2}`:                   fault.Version,
		`{}`:                             fault.Version,
		`{"format":1,"more":1}`:          fault.NotFormat,
		`{"format":1,"servers":[{}]}`:    fault.Usage,
		`{"format":1,"servers":[]} rest`: fault.NotFormat,
	} {
		_, err := ParseConfig([]byte(text))
		require.ErrorIs(t, err, want, text)
	}
	twice := `{"name":"a","hosts":["h"],"version":"auto","ca":"/c","cert":"/d","key":"/e"}`
	_, err := ParseConfig([]byte(`{"format":1,"servers":[` + twice + `]}`))
	require.NoError(t, err)
	_, err = ParseConfig([]byte(`{"format":1,"servers":[` + twice + `,` + twice + `]}`))
	require.ErrorIs(t, err, fault.Usage)
}

// TestConfigCrash: a power cut at any operation leaves the old file or the new one.
func TestConfigCrash(t *testing.T) {
	base := fsx.NewMem(1)
	require.NoError(t, UpdateConfig(t.Context(), base, "/etc/coffer/kmip.json", func(c *Config) error { return c.Add(plainServer("old")) }))
	seen := map[string]int{}
	for k := 0; ; k++ {
		m := base.Clone()
		m.CutAfter(k)
		err := UpdateConfig(t.Context(), m, "/etc/coffer/kmip.json", func(c *Config) error { return c.Put("old", plainServer("new")) })
		for i := range 8 {
			img := m.Crash(rand.New(rand.NewPCG(uint64(k), uint64(i))))
			c, loadErr := LoadConfig(img, "/etc/coffer/kmip.json")
			require.NoError(t, loadErr, "cut %d", k)
			require.Len(t, c.Servers, 1)
			seen[c.Servers[0].Name]++
			if err == nil {
				require.Equal(t, "new", c.Servers[0].Name, "what was acknowledged is durable")
			}
		}
		if err == nil {
			break
		}
		require.ErrorIs(t, err, fsx.ErrPowerCut)
	}
	require.Positive(t, seen["old"])
	require.Positive(t, seen["new"])
}

// TestConfigTogether: changes from everywhere at once are all there.
func TestConfigTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kmip.json")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			require.NoError(t, UpdateConfig(context.Background(), nil, path, func(c *Config) error { return c.Add(plainServer("s" + strconv.Itoa(i))) }))
		})
	}
	wg.Wait()
	c, err := LoadConfig(nil, path)
	require.NoError(t, err)
	require.Len(t, c.Servers, 8)
	require.False(t, slices.ContainsFunc(c.Servers, func(s Server) bool { return s.Check() != nil }))
}
