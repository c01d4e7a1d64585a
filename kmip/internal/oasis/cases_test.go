package oasis

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/gemalto/kmip-go/kmip14" // names of tags and enumerations
	_ "github.com/gemalto/kmip-go/kmip20"
	oracle "github.com/gemalto/kmip-go/ttlv"
	"github.com/stretchr/testify/require"
)

// message is one message of a case, encoded by the oracle.
type message struct {
	file    string
	n       int // in the file, from 1
	request bool
	bytes   []byte
	err     error // the oracle cannot read it
}

func (m message) String() string { return fmt.Sprintf("%s message %d", m.file, m.n) }

// cases1 returns the folder of the cases of 1.x.
func cases1(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ovh/kmip-go").Output()
	require.NoError(t, err)
	return filepath.Join(strings.TrimSpace(string(out)), "kmiptest", "testdata")
}

// cases2 returns the folder of the cases of 2.x, or skips.
func cases2(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("COFFER_KMIP_CASES")
	if dir == "" {
		t.Skip("COFFER_KMIP_CASES names no folder with the OASIS cases for KMIP 2.0 and 2.1 (2.0/mandatory, 2.1/mandatory)")
	}
	return dir
}

// load reads every message of the files that match.
func load(t *testing.T, pattern string) []message {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var all []message
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		all = append(all, split(t, filepath.Base(f), concrete(text))...)
	}
	return all
}

var (
	now      = regexp.MustCompile(`"\$NOW(?:[-+]\d+)?"`)
	variable = regexp.MustCompile(`"\$[A-Za-z0-9_]+"`)
)

// concrete puts values for the variables of a case: a time, and text that is also hexadecimal.
func concrete(text []byte) []byte {
	text = now.ReplaceAll(text, []byte(`"`+time.Unix(1_600_000_000, 0).UTC().Format(time.RFC3339)+`"`))
	known := map[string]int{}
	return variable.ReplaceAllFunc(text, func(name []byte) []byte {
		if _, ok := known[string(name)]; !ok {
			known[string(name)] = len(known)
		}
		return fmt.Appendf(nil, `"DEADBEEF%02d"`, known[string(name)])
	})
}

// split cuts a file into messages.
func split(t *testing.T, file string, text []byte) []message {
	t.Helper()
	var all []message
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		at := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, file)
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "RequestMessage" && start.Name.Local != "ResponseMessage" {
			continue
		}
		require.NoError(t, d.Skip(), file)
		m := message{file: file, n: len(all) + 1, request: start.Name.Local == "RequestMessage"}
		m.bytes, m.err = encode(text[at:d.InputOffset()])
		all = append(all, m)
	}
}

// encode lets the oracle turn XML into TTLV.
func encode(text []byte) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the oracle panics: %v", r)
		}
	}()
	var v oracle.TTLV
	if err := xml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return v, v.Valid()
}
