package kmip

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cofferdb/coffer/internal/fault"
	"github.com/cofferdb/coffer/internal/fsx"
)

// ConfigFormat is the version of the configuration file's format.
const ConfigFormat = 1

// Bounds of a configuration file.
const (
	MaxServers    = 256
	maxConfigFile = 1 << 20 // bytes
	configMode    = fs.FileMode(0o600)
	lockWait      = 10 * time.Second // for another process's change
	lockRetry     = 20 * time.Millisecond
)

// Config is what a configuration file holds. FORMAT.md has the file.
type Config struct {
	Format  int      `json:"format"`
	Servers []Server `json:"servers"`
}

// LoadConfig reads the configuration file at path. A file that does not exist
// is an empty configuration. Errors: [ErrUsage] for what is no configuration
// file, [ErrVersion] for a newer format. fsys nil is the operating system.
func LoadConfig(fsys fsx.FS, path string) (*Config, error) {
	if fsys == nil {
		fsys = fsx.OS()
	}
	f, err := fsys.Open(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return &Config{Format: ConfigFormat}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kmip: configuration: %w", err)
	}
	c, err := readConfig(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("kmip: configuration %s: %w", path, err)
	}
	return c, nil
}

func readConfig(f fsx.File) (*Config, error) {
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	if n > maxConfigFile {
		return nil, fmt.Errorf("%w: %d bytes; at most %d are read", fault.NotFormat, n, maxConfigFile)
	}
	data := make([]byte, n)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return ParseConfig(data)
}

// ParseConfig reads the text of a configuration file. Empty text is an empty
// configuration. Unknown fields, two servers of one name and whatever
// [Server.Check] refuses are errors.
func ParseConfig(data []byte) (*Config, error) {
	c := &Config{Format: ConfigFormat}
	if len(bytes.TrimSpace(data)) == 0 {
		return c, nil
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", fault.NotFormat, err)
	}
	if head.Format != ConfigFormat {
		return nil, fmt.Errorf("%w: format %d; this program reads %d", fault.Version, head.Format, ConfigFormat)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %w", fault.NotFormat, err)
	}
	return c, c.check()
}

func (c *Config) check() error {
	if len(c.Servers) > MaxServers {
		return usage("%d servers; at most %d are possible", len(c.Servers), MaxServers)
	}
	for i := range c.Servers {
		if err := c.Servers[i].Check(); err != nil {
			return err
		}
		if c.index(c.Servers[i].Name) != i {
			return usage("two servers are called %s", c.Servers[i].Name)
		}
	}
	return nil
}

func (c *Config) index(name string) int {
	return slices.IndexFunc(c.Servers, func(s Server) bool { return s.Name == name })
}

// Server returns the configuration of that name; [ErrUnknownServer] if there is none.
func (c *Config) Server(name string) (Server, error) {
	if i := c.index(name); i >= 0 {
		return c.Servers[i], nil
	}
	return Server{}, unknownServer(name)
}

// Add adds a configuration; [ErrServerExists] if there is one of that name.
func (c *Config) Add(s Server) error {
	if err := s.Check(); err != nil {
		return err
	}
	if c.index(s.Name) >= 0 {
		return fmt.Errorf("%w: %s", ErrServerExists, s.Name)
	}
	c.Servers = append(c.Servers, s)
	return c.check()
}

// Put replaces the configuration called name, perhaps by one of another name.
func (c *Config) Put(name string, s Server) error {
	if err := s.Check(); err != nil {
		return err
	}
	i := c.index(name)
	if i < 0 {
		return unknownServer(name)
	}
	if j := c.index(s.Name); j >= 0 && j != i {
		return fmt.Errorf("%w: %s", ErrServerExists, s.Name)
	}
	c.Servers[i] = s
	return nil
}

// Remove removes the configuration called name.
func (c *Config) Remove(name string) error {
	i := c.index(name)
	if i < 0 {
		return unknownServer(name)
	}
	c.Servers = slices.Delete(c.Servers, i, i+1)
	return nil
}

func unknownServer(name string) error {
	return fault.Hint(fmt.Errorf("%w: %q", ErrUnknownServer, name),
		"coffer kmip server list shows those there are; coffer kmip server create makes one.")
}

// UpdateConfig changes the configuration file at path: under its lock it reads
// the file, calls change, and replaces the file whole, with mode 0600, durably.
// An error of change leaves the file as it was. The folder is made if it is
// missing; its parent must exist, or the parent's parent. It waits up to 10
// seconds for another process, then fails with fault.InUse. Where there is no
// file yet change is called twice, and with an error of it there is none afterwards.
func UpdateConfig(ctx context.Context, fsys fsx.FS, path string, change func(*Config) error) error {
	if fsys == nil {
		fsys = fsx.OS()
	}
	path = fsx.Resolve(fsys, path)
	if _, err := fsys.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := change(&Config{Format: ConfigFormat}); err != nil {
			return err
		}
	}
	if err := makeFolder(fsys, filepath.Dir(path)); err != nil {
		return fmt.Errorf("kmip: configuration: %w", err)
	}
	f, err := lockConfig(ctx, fsys, path)
	if err != nil {
		return fmt.Errorf("kmip: configuration %s: %w", path, err)
	}
	defer func() { _ = f.Close() }() // nothing was written through it
	c, err := readConfig(f)
	if err != nil {
		return fmt.Errorf("kmip: configuration %s: %w", path, err)
	}
	if err := change(c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := saveConfig(fsys, path, c); err != nil {
		return fmt.Errorf("kmip: configuration %s: %w", path, err)
	}
	return nil
}

// lockConfig opens the file, which it makes, empty, if it is missing.
func lockConfig(ctx context.Context, fsys fsx.FS, path string) (fsx.File, error) {
	for until := time.Now().Add(lockWait); ; {
		f, err := fsx.OpenLocked(fsys, path, os.O_RDWR|os.O_CREATE, configMode, fsx.Exclusive)
		if err == nil || !errors.Is(err, fault.InUse) || time.Now().After(until) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockRetry):
		}
	}
}

func saveConfig(fsys fsx.FS, path string, c *Config) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(c); err != nil {
		return err
	}
	if text.Len() > maxConfigFile {
		return usage("the configuration would have %d bytes; at most %d are possible", text.Len(), maxConfigFile)
	}
	return fsx.Replace(fsys, path, configMode, func(f fsx.File) error {
		_, err := f.WriteAt(text.Bytes(), 0)
		return err
	})
}

// makeFolder makes dir and its parent.
func makeFolder(fsys fsx.FS, dir string) error {
	if _, err := fsys.Stat(dir); err == nil {
		return nil
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := fsys.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
