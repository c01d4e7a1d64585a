package tabletest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"
	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
	"github.com/cofferdb/coffer/internal/pgtest"
)

// base is a real database with the spelling of its types.
type base struct {
	*sql.DB
	t       *testing.T
	dialect retable.Dialect
	blob    string
}

func (b *base) exec(query string, args ...any) {
	b.t.Helper()
	_, err := b.Exec(query, args...)
	require.NoError(b.t, err, query)
}

func (b *base) int(query string, args ...any) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.QueryRow(query, args...).Scan(&n), query)
	return n
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, b *base)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, postgres(t)) })
}

func sqlite(t *testing.T) *base {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(filepath.Join(t.TempDir(), "app.db"))}).EscapedPath()}
	db, err := sql.Open("sqlite3", u.String()+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &base{DB: db, t: t, dialect: retable.SQLite, blob: "BLOB"}
}

// one PostgreSQL serves all tests; each has a schema of its own.
var (
	schemas int
	mu      sync.Mutex // guards schemas, and the start of the server
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func postgres(t *testing.T) *base {
	db, err := sql.Open("pgx", postgresDSN(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return &base{DB: db, t: t, dialect: retable.PostgreSQL, blob: "BYTEA"}
}

// postgresDSN is a schema of its own on the server.
func postgresDSN(t *testing.T) string {
	mu.Lock()
	defer mu.Unlock()
	schemas++
	schema := fmt.Sprintf("test%d", schemas)
	dsn := pgtest.Shared(t).DSN()
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE SCHEMA " + schema)
	require.NoError(t, err)
	return dsn + "&search_path=" + schema
}

// safe is a cipher with two keys.
type safe struct {
	*element.Cipher
	t        *testing.T
	old, new dek.ID
}

func newSafe(t *testing.T) *safe {
	t.Helper()
	ring := dek.NewKeyring()
	s := &safe{t: t}
	for _, id := range []*dek.ID{&s.old, &s.new} {
		k, err := dek.Generate(256)
		require.NoError(t, err)
		require.NoError(t, ring.Activate(k, dek.Element, dek.Active))
		*id = k.ID()
		k.Destroy()
	}
	var err error
	s.Cipher, err = element.New(ring)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close(); require.NoError(t, ring.Close()) })
	return s
}

// text encrypts into the text form.
func (s *safe) text(key dek.ID, context, plaintext string) string {
	s.t.Helper()
	return element.EncodeText(s.bytes(key, context, plaintext))
}

func (s *safe) bytes(key dek.ID, context, plaintext string) []byte {
	s.t.Helper()
	b, err := s.Encrypt([]byte(plaintext), key, []byte(context))
	require.NoError(s.t, err)
	return b
}

// open decrypts either form and says under which key it was.
func (s *safe) open(v any, context string) (string, dek.ID) {
	s.t.Helper()
	b, ok := v.([]byte)
	if text, isText := v.(string); isText || ok && element.IsText(b) {
		if !isText {
			text = string(b)
		}
		var err error
		b, err = element.DecodeText(text)
		require.NoError(s.t, err)
	}
	h, err := element.Parse(b)
	require.NoError(s.t, err)
	p, err := s.Decrypt(b, []byte(context))
	require.NoError(s.t, err, context)
	return string(p), h.Key
}

func template(t *testing.T, text string) *element.Template {
	t.Helper()
	tmpl, err := element.ParseTemplate(text)
	require.NoError(t, err)
	return tmpl
}

// run is retable.Run that must succeed.
func run(t *testing.T, b *base, s retable.Cipher, j retable.Job, o *retable.Options) *retable.Report {
	t.Helper()
	r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, o)
	require.NoError(t, err)
	require.Zero(t, r.Left)
	return r
}
