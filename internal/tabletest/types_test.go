package tabletest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/fips"
)

// TestKeyTypes: rows are found by keys of every usual type, one by one (batches
// of 1), and contexts hold the key's value.
func TestKeyTypes(t *testing.T) {
	type table struct {
		dialect retable.Dialect
		columns string   // of the key, with types
		names   []string // of the key, in the table's order
		rows    []string // SQL of a row's key
		context []string // what the context holds for each row
	}
	for name, c := range map[string]table{
		"integers":        {0, "id BIGINT PRIMARY KEY", []string{"id"}, []string{"-9223372036854775807", "0", "7"}, []string{"-9223372036854775807", "0", "7"}},
		"text":            {0, "id TEXT PRIMARY KEY", []string{"id"}, []string{"''", "'a'", "'B'", "'ä'", "'2024-05-06T07:08:09Z'"}, []string{"", "a", "B", "ä", "2024-05-06T07:08:09Z"}},
		"two":             {0, "tenant TEXT, n INTEGER, PRIMARY KEY (tenant, n)", []string{"tenant", "n"}, []string{"'a', 1", "'a', 2", "'a', 10", "'b', 1"}, []string{"a.1", "a.2", "a.10", "b.1"}},
		"other order":     {0, "n INTEGER, tenant TEXT, PRIMARY KEY (tenant, n)", []string{"tenant", "n"}, []string{"1, 'b'", "2, 'a'", "1, 'a'"}, []string{"b.1", "a.2", "a.1"}},
		"blobs":           {retable.SQLite, "id BLOB PRIMARY KEY", []string{"id"}, []string{"x''", "x'00'", "x'00ff'", "x'2e'"}, []string{"", "\x00", "\x00\xff", `\.`}},
		"bytea":           {retable.PostgreSQL, "id BYTEA PRIMARY KEY", []string{"id"}, []string{`''`, `'\x00'`, `'\x00ff'`, `'\x2e'`}, []string{"", "\x00", "\x00\xff", `\.`}},
		"mixed":           {retable.SQLite, "id PRIMARY KEY", []string{"id"}, []string{"1", "'1'", "x'31'", "1.5", "'z'"}, []string{"1", "1", "1", `1\.5`, "z"}},
		"without rowid":   {retable.SQLite, "id TEXT PRIMARY KEY, other INT", []string{"id"}, []string{"'b', 1", "'a', 2"}, []string{"b", "a"}},
		"nocase":          {retable.SQLite, "id TEXT COLLATE NOCASE PRIMARY KEY", []string{"id"}, []string{"'B'", "'a'", "'C'"}, []string{"B", "a", "C"}},
		"time":            {retable.SQLite, "id DATETIME PRIMARY KEY", []string{"id"}, []string{"'2024-05-06T07:08:09Z'", "'2024-05-06 07:08:09'", "17"}, []string{"2024-05-06T07:08:09Z", "2024-05-06 07:08:09", "17"}},
		"uuid":            {retable.PostgreSQL, "id uuid PRIMARY KEY", []string{"id"}, []string{"'9158980E-AE52-4E12-82FD-AA5A2909D029'", "'00000000-0000-0000-0000-000000000001'"}, []string{"9158980e-ae52-4e12-82fd-aa5a2909d029", "00000000-0000-0000-0000-000000000001"}},
		"timestamps":      {retable.PostgreSQL, "id timestamp PRIMARY KEY", []string{"id"}, []string{"'2024-05-06 07:08:09.123456'", "'2024-05-06 07:08:09.123457'"}, []string{`2024-05-06 07:08:09\.123456`, `2024-05-06 07:08:09\.123457`}},
		"numeric":         {retable.PostgreSQL, "id numeric PRIMARY KEY", []string{"id"}, []string{"1.10", "-3", "123456789012345678901234567890"}, []string{`1\.10`, "-3", "123456789012345678901234567890"}},
		"char":            {retable.PostgreSQL, "id char(4) PRIMARY KEY", []string{"id"}, []string{"'a'", "'ab'", "'abcd'"}, []string{"a", "ab", "abcd"}},
		"enum, boolean":   {retable.PostgreSQL, "id boolean, k date, PRIMARY KEY (id, k)", []string{"id", "k"}, []string{"true, '2024-01-01'", "false, '2024-01-02'"}, []string{"true.2024-01-01", "false.2024-01-02"}},
		"case-blind text": {retable.PostgreSQL, "id text COLLATE blind PRIMARY KEY", []string{"id"}, []string{"'B'", "'a'"}, []string{"B", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *base) {
				if c.dialect != 0 && c.dialect != b.dialect {
					return
				}
				s := newSafe(t)
				if b.dialect == retable.PostgreSQL {
					b.exec("CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
				}
				suffix := ""
				if name == "without rowid" {
					suffix = " WITHOUT ROWID"
				}
				b.exec("CREATE TABLE t (" + columnsFirst(c.columns) + ")" + suffix)
				for i, k := range c.rows {
					b.exec("INSERT INTO t VALUES ("+k+", $1)", s.text(s.old, "t."+c.context[i], fmt.Sprint(i)))
				}
				j := retable.Job{Table: retable.Name{Table: "t"}, Column: "v", Do: retable.Rekey, From: s.old, To: s.new,
					Context: template(t, "t.{"+strings.Join(c.names, "}.{")+"}")}
				r := run(t, b, s, j, &retable.Options{Batch: 1, Checkpoint: retable.InTable(retable.Name{Table: "places"})})
				require.Equal(t, 1, r.Rounds)
				require.Equal(t, int64(len(c.rows)), r.Changed)
				require.Equal(t, int64(len(c.rows)), r.Count.Keys[s.new])
			})
		})
	}
}

// columnsFirst puts the value's column behind the key's columns and before table constraints.
func columnsFirst(columns string) string {
	at := strings.Index(columns, ", PRIMARY KEY")
	if at < 0 {
		return columns + ", v TEXT"
	}
	return columns[:at] + ", v TEXT" + columns[at:]
}

// TestRowID: a table of SQLite without a primary key is walked by its row ID,
// and one with nulls in its primary key by name.
func TestRowID(t *testing.T) {
	b, s := sqlite(t), newSafe(t)
	b.exec("CREATE TABLE bare (rowid_ TEXT, v TEXT)")
	b.exec("CREATE TABLE odd (id TEXT PRIMARY KEY, v TEXT)")
	b.exec("CREATE TABLE shadow (rowid TEXT, v TEXT)")
	b.exec("CREATE TABLE none (id TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID")
	for range 3 {
		for _, table := range []string{"bare", "odd", "shadow"} {
			b.exec("INSERT INTO "+table+" VALUES (NULL, ?)", s.text(s.old, "", "x"))
		}
	}
	j := retable.Job{Column: "v", Do: retable.Rekey, To: s.new}
	for _, c := range []struct {
		table string
		key   []string
	}{{"bare", nil}, {"odd", []string{"rowid"}}, {"shadow", []string{"_rowid_"}}} {
		j.Table.Table, j.Key = c.table, c.key
		require.Equal(t, int64(3), run(t, b, s, j, &retable.Options{Batch: 2}).Changed)
	}
	j.Table.Table, j.Key = "none", []string{"rowid"}
	_, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
	require.ErrorIs(t, err, retable.ErrUnsupported)
}

// TestEncryptDecrypt takes a column there and back.
func TestEncryptDecrypt(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		b.exec("CREATE TABLE p (id INTEGER PRIMARY KEY, v TEXT, raw " + b.blob + ")")
		texts := []any{"123-45-6789", "", nil, "2024-05-06T07:08:09Z", " spaces \n", "coffer1", "ÄÖ\U0001F600", strings.Repeat("x", 5000)}
		raws := []any{[]byte{0}, []byte{}, nil, []byte("text"), []byte{0xff, 0xfe}, []byte("coffer1"), []byte("CF"), make([]byte, 5000)}
		for i := range texts {
			b.exec("INSERT INTO p VALUES ($1, $2, $3)", i, texts[i], raws[i])
		}
		for column, empties := range map[string]int64{"v": 1, "raw": 1} {
			j := retable.Job{Table: retable.Name{Table: "p"}, Column: column, Do: retable.Encrypt, To: s.old,
				Context: template(t, "p."+column+".{id}"), SkipEmpty: true}
			r := run(t, b, s, j, nil)
			require.Equal(t, empties, r.Count.Empty)
			require.Equal(t, int64(6), r.Changed)
			j.Do, j.To, j.From = retable.Rekey, s.new, s.old
			require.Equal(t, int64(6), run(t, b, s, j, nil).Changed)
			j.To, j.From = s.old, s.new
			run(t, b, s, j, nil)
			j.Do, j.To, j.From = retable.Encrypt, s.old, dek.ID{}
			j.SkipEmpty = false
			require.Equal(t, int64(1), run(t, b, s, j, nil).Changed)
			require.Equal(t, int64(7), run(t, b, s, j, nil).Count.Keys[s.old])

			j.Do, j.To, j.From = retable.Rekey, s.new, s.old
			require.Equal(t, int64(7), run(t, b, s, j, nil).Changed)
		}
		var v string
		var raw []byte
		require.NoError(t, b.QueryRow("SELECT v, raw FROM p WHERE id = 0").Scan(&v, &raw))
		require.True(t, element.IsText(v), "text in a column of text")
		require.False(t, element.IsText(raw), "binary in a column of bytes")
		for _, column := range []string{"v", "raw"} {
			j := retable.Job{Table: retable.Name{Table: "p"}, Column: column, Do: retable.Decrypt, Context: template(t, "p."+column+".{id}")}
			require.Equal(t, int64(7), run(t, b, s, j, nil).Changed)
			require.Zero(t, run(t, b, s, j, nil).Changed)
		}
		for i := range texts {
			var v *string
			var raw []byte
			require.NoError(t, b.QueryRow("SELECT v, raw FROM p WHERE id = $1", i).Scan(&v, &raw))
			if texts[i] == nil {
				require.True(t, v == nil && raw == nil)
				continue
			}
			require.Equal(t, texts[i], *v)
			require.Equal(t, string(raws[i].([]byte)), string(raw))
			require.NotNil(t, raw)
		}
	})
}

// TestCollation: a column's collation takes two texts for one; a change of case is a change all the same.
func TestCollation(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		collation := "NOCASE"
		if b.dialect == retable.PostgreSQL {
			b.exec("CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
			collation = "blind"
		}
		b.exec("CREATE TABLE c (id INTEGER PRIMARY KEY, v TEXT COLLATE " + collation + ")")
		b.exec("INSERT INTO c VALUES (1, 'abc')")
		j := retable.Job{Table: retable.Name{Table: "c"}, Column: "v", Do: retable.Encrypt, To: s.new}
		once := false
		r := run(t, b, encryptMeddler{s, func() {
			if !once {
				once = true
				b.exec("UPDATE c SET v = 'ABC' WHERE id = 1")
			}
		}}, j, nil)
		require.Equal(t, int64(1), r.Raced)
		var v string
		require.NoError(t, b.QueryRow("SELECT v FROM c").Scan(&v))
		got, _ := s.open(v, "")
		require.Equal(t, "ABC", got)
	})
}

type encryptMeddler struct {
	*safe
	before func()
}

func (m encryptMeddler) EncryptWith(suite element.Suite, p []byte, key dek.ID, context []byte) ([]byte, error) {
	if len(p) > 0 {
		m.before()
	}
	return m.safe.EncryptWith(suite, p, key, context)
}

// TestSQLiteNumbers: integers are encrypted as their digits; what has none is left.
func TestSQLiteNumbers(t *testing.T) {
	b, s := sqlite(t), newSafe(t)
	b.exec("CREATE TABLE n (id INTEGER PRIMARY KEY, v INTEGER)")
	b.exec("INSERT INTO n VALUES (1, 4242), (2, 1.5), (3, 'text')")
	j := retable.Job{Table: retable.Name{Table: "n"}, Column: "v", Do: retable.Encrypt, To: s.new}
	r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
	require.ErrorIs(t, err, retable.ErrUnsupported)
	require.Equal(t, int64(2), r.Changed)
	require.Equal(t, int64(1), r.Left)
	j.Do, j.To = retable.Decrypt, dek.ID{}
	run(t, b, s, j, nil)
	require.Equal(t, 1, b.int("SELECT count(*) FROM n WHERE id = 1 AND typeof(v) = 'integer' AND v = 4242"))
	require.Equal(t, 1, b.int("SELECT count(*) FROM n WHERE id = 2 AND typeof(v) = 'real' AND v = 1.5"))
	require.Equal(t, 1, b.int("SELECT count(*) FROM n WHERE id = 3 AND v = 'text'"))
}

// TestNotText: a plaintext that no column of text holds stays encrypted, and is not repeated.
func TestNotText(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		b.exec("CREATE TABLE b (id INTEGER PRIMARY KEY, v TEXT)")
		b.exec("INSERT INTO b VALUES (1, $1), (2, $2), (3, $3)", s.text(s.old, "", "fine"), s.text(s.old, "", "secret\xff"), s.text(s.old, "", "secret\x00"))
		j := retable.Job{Table: retable.Name{Table: "b"}, Column: "v", Do: retable.Decrypt}
		r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
		require.ErrorIs(t, err, retable.ErrUnsupported)
		require.NotContains(t, err.Error(), "secret")
		require.Equal(t, int64(2), r.Left)
		require.Equal(t, int64(1), r.Changed)
	})
}

func TestTypesOfColumns(t *testing.T) {
	b, s := postgres(t), newSafe(t)
	b.exec("CREATE DOMAIN secret AS varchar(500)")
	b.exec("CREATE DOMAIN blob AS bytea")
	b.exec(`CREATE TABLE k (id INTEGER PRIMARY KEY, a secret, b blob, c char(200), d json, e integer, f text GENERATED ALWAYS AS ('x') STORED)`)
	b.exec(`INSERT INTO k VALUES (1, 'a', 'b', 'c', '{}', 1)`)
	for _, column := range []string{"a", "b", "c"} {
		j := retable.Job{Table: retable.Name{Table: "k"}, Column: column, Do: retable.Encrypt, To: s.old}
		require.Equal(t, int64(1), run(t, b, s, j, nil).Changed, column)
		j.Do, j.To = retable.Rekey, s.new
		require.Equal(t, int64(1), run(t, b, s, j, nil).Changed, column)
	}
	for column, want := range map[string]error{"d": retable.ErrUnsupported, "e": retable.ErrUnsupported, "f": retable.ErrUsage} {
		j := retable.Job{Table: retable.Name{Table: "k"}, Column: column, Do: retable.Encrypt, To: s.old}
		_, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
		require.ErrorIs(t, err, want, column)
	}
	b.exec("CREATE TABLE bare (v text)")
	_, err := retable.Run(context.Background(), b.DB, b.dialect, s, retable.Job{Table: retable.Name{Table: "bare"}, Column: "v", Do: retable.Encrypt, To: s.old}, nil)
	require.ErrorIs(t, err, retable.ErrUnsupported)

	b.exec("CREATE TABLE parts (id INTEGER PRIMARY KEY, v text) PARTITION BY RANGE (id)")
	b.exec("CREATE TABLE parts1 PARTITION OF parts FOR VALUES FROM (0) TO (10)")
	b.exec("CREATE TABLE parts2 PARTITION OF parts FOR VALUES FROM (10) TO (20)")
	b.exec("INSERT INTO parts SELECT i, 'v' FROM generate_series(0, 19) i")
	require.Equal(t, int64(20), run(t, b, s, retable.Job{Table: retable.Name{Table: "parts"}, Column: "v", Do: retable.Encrypt, To: s.old},
		&retable.Options{Batch: 3}).Changed)
}

func TestUTF16(t *testing.T) {
	b, s := sqlite(t), newSafe(t)
	b.SetMaxOpenConns(1)
	b.exec("PRAGMA encoding = 'UTF-16'")
	b.exec("CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT)")
	_, err := retable.Run(context.Background(), b.DB, b.dialect, s, retable.Job{Table: retable.Name{Table: "u"}, Column: "v", Do: retable.Encrypt, To: s.old}, nil)
	require.ErrorIs(t, err, retable.ErrUnsupported)
}

// TestSuites: a re-key keeps the suite; deterministic values stay comparable.
func TestSuites(t *testing.T) {
	for _, suite := range []element.Suite{element.GCM, element.CBC, element.SIV} {
		if suite == element.SIV && fips.LibraryOnly() {
			continue
		}
		onBoth(t, func(t *testing.T, b *base) {
			s := newSafe(t)
			b.exec("CREATE TABLE s (id INTEGER PRIMARY KEY, v TEXT)")
			b.exec("INSERT INTO s VALUES (1, 'same'), (2, 'same')")
			j := retable.Job{Table: retable.Name{Table: "s"}, Column: "v", Do: retable.Encrypt, To: s.old, Suite: suite, Context: template(t, "s.v")}
			run(t, b, s, j, nil)
			j.Do, j.To, j.Suite = retable.Rekey, s.new, 0
			run(t, b, s, j, nil)
			var v string
			require.NoError(t, b.QueryRow("SELECT v FROM s WHERE id = 2").Scan(&v))
			raw, err := element.DecodeText(v)
			require.NoError(t, err)
			h, err := element.Parse(raw)
			require.NoError(t, err)
			require.Equal(t, suite, h.Suite)
			equal := 1
			if suite == element.SIV {
				equal = 2
			}
			require.Equal(t, equal, b.int("SELECT count(*) FROM s WHERE v = $1", v))
		})
	}
}
