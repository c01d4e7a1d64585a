package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cofferdb/coffer/fips"
)

// TestMain lets the test binary be the program: testscript runs it as coffer,
// and the end-to-end test starts it as a child that can be killed.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(mainCode())
	}
	testscript.Main(m, map[string]func(){"coffer": func() { os.Exit(mainCode()) }})
}

// TestScripts runs testdata/script: every verb, with its exit codes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{envKeyfile, envKMSKeyfile, envAdmin, envPasswordFile, envCredential, envKMIP, envKMIPConfig, envDSN} {
				env.Setenv(name, "")
			}
			env.Setenv(fips.Env, "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "save": save, "patch": patch, "fill": fill, "lineend": lineEnd, "damage": damage,
			"sqlite": runSQLite,
		},
		Condition: condition,
	})
}

// condition knows [root] and [fipsmodule]: the program has a validated module of cryptography.
func condition(cond string) (bool, error) {
	switch cond {
	case "root":
		return os.Geteuid() == 0, nil
	case "fipsmodule":
		return fips.Current().Certificate != "", nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// exits runs a program and wants this exit code: exits 5 coffer …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// save puts the first line of the last standard output into a variable: save ID
func save(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: save VARIABLE")
	}
	line, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
	ts.Setenv(args[0], line)
}

// patch turns over bytes of a file: patch FILE OFFSET [COUNT]
func patch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: patch FILE OFFSET [COUNT]")
	}
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	count := 1
	if len(args) > 2 {
		count, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b := make([]byte, count)
	_, err = f.ReadAt(b, off)
	ts.Check(err)
	for i := range b {
		b[i] ^= 0xff
	}
	_, err = f.WriteAt(b, off)
	ts.Check(err)
}

// fill makes a file of many lines: fill FILE BYTES
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := strings.Repeat("plain text that nobody should see\n", n/34+1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text[:n]), 0o640))
}

// runSQLite runs the statements of a file in a database; what a query returns is printed, a value
// a line: sqlite DATABASE FILE
func runSQLite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sqlite DATABASE FILE")
	}
	db, err := sql.Open("sqlite3", "file:"+(&url.URL{Path: ts.MkAbs(args[0])}).EscapedPath())
	ts.Check(err)
	defer db.Close()
	for statement := range strings.SplitSeq(strings.TrimSpace(ts.ReadFile(args[1])), ";\n") {
		rows, err := db.Query(statement)
		ts.Check(err)
		for rows.Next() {
			var v *string
			ts.Check(rows.Scan(&v))
			if v != nil {
				fmt.Fprintln(ts.Stdout(), *v)
			}
		}
		ts.Check(rows.Err())
	}
}

// lineEnd copies a file and ends its lines as Windows does: lineend FROM TO
func lineEnd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lineend FROM TO")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "\n", "\r\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// damage turns over the last byte of a file that is not zero: in a volume with
// one block written, a byte of that block. damage FILE
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: damage FILE")
	}
	b := []byte(ts.ReadFile(args[0]))
	n := len(bytes.TrimRight(b, "\x00"))
	b[n-1] ^= 0xff
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}
