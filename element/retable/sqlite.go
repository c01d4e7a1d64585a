package retable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// rowids are the names of the hidden key of most of SQLite's tables.
var rowids = []string{"rowid", "_rowid_", "oid"}

// sqliteStatements asks SQLite's catalogue. Values are read with their storage
// class and text as bytes, because some drivers make times of texts that look
// like one.
func sqliteStatements(ctx context.Context, db querier, j *Job) (*statements, error) {
	if err := sqliteEncoding(ctx, db); err != nil {
		return nil, err
	}
	columns, err := sqliteColumns(ctx, db, j)
	if err != nil {
		return nil, err
	}
	if _, err := target(columns, j); err != nil {
		return nil, err
	}
	keys, err := sqliteKeys(ctx, db, columns, j)
	if err != nil {
		return nil, err
	}
	table, value := j.Table.quoted(), "r."+quote(j.Column)
	var ks, read, marks []string
	for _, k := range keys {
		q := "r." + quote(k)
		ks, read, marks = append(ks, q), append(read, sqliteValue(q)), append(marks, "?")
	}
	list := strings.Join(append(read, sqliteValue(value)), ", ")
	order := " ORDER BY " + strings.Join(ks, ", ") + " LIMIT ?"
	// The collation of a column may take two texts for one: the old value is compared byte by byte.
	same := "typeof(" + value + ") = typeof(?%[1]d) AND " + value + " COLLATE BINARY = ?%[1]d"
	return &statements{
		keys: keys, hexKeys: make([]bool, len(keys)),
		total:    "SELECT count(*) FROM " + table + " AS r WHERE " + value + " IS NOT NULL",
		nullKeys: "SELECT EXISTS (SELECT 1 FROM " + table + " AS r WHERE " + isNull(ks) + ")",
		first:    "SELECT " + list + " FROM " + table + " AS r WHERE " + value + " IS NOT NULL" + order,
		next: "SELECT " + list + " FROM " + table + " AS r WHERE " + tuple(ks) + " > " + tuple(marks) +
			" AND " + value + " IS NOT NULL" + order,
		update: "UPDATE " + table + " AS r SET " + quote(j.Column) + " = ?1 WHERE " + tuple(ks) + " = " + tuple(numbered(marks, 2)) +
			" AND " + fmt.Sprintf(same, len(keys)+2),
		all:  "SELECT " + sqliteValue(value) + " FROM " + table + " AS r WHERE " + value + " IS NOT NULL",
		scan: sqliteScan, value: sqliteOne,
	}, nil
}

func numbered(marks []string, from int) []string {
	out := make([]string, len(marks))
	for i := range out {
		out[i] = fmt.Sprintf("?%d", from+i)
	}
	return out
}

// sqliteValue reads a value as its storage class and the value, text as bytes.
func sqliteValue(expr string) string {
	return fmt.Sprintf("typeof(%[1]s), CASE typeof(%[1]s) WHEN 'text' THEN CAST(%[1]s AS BLOB) ELSE %[1]s END", expr)
}

func sqliteEncoding(ctx context.Context, db querier) error {
	var encoding string
	if err := db.QueryRowContext(ctx, "PRAGMA encoding").Scan(&encoding); err != nil {
		return fmt.Errorf("retable: SQLite: %w", err)
	}
	if encoding != "UTF-8" {
		return fmt.Errorf("retable: %w: a database in %s; only those in UTF-8 are read", fault.Unsupported, encoding)
	}
	return nil
}

// sqliteColumns lists the columns of a table. A name that is none would be read
// as text by SQLite, so that nothing is said about a column that is not there.
func sqliteColumns(ctx context.Context, db querier, j *Job) ([]column, error) {
	schema := j.Table.Schema
	if schema == "" {
		schema = "main"
	}
	var kind string
	err := db.QueryRowContext(ctx, "SELECT type FROM "+quote(schema)+".sqlite_schema WHERE name = ?", j.Table.Table).Scan(&kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fault.Hint(fmt.Errorf("retable: %w: there is no table %s", fault.Usage, j.Table), "The case counts.")
	case err != nil:
		return nil, fmt.Errorf("retable: SQLite: table %s: %w", j.Table, err)
	case kind != "table":
		return nil, fmt.Errorf("retable: %w: %s is no table: %s", fault.Usage, j.Table, kind)
	}
	rows, err := db.QueryContext(ctx, "SELECT name, type, pk, hidden FROM pragma_table_xinfo(?, ?)", j.Table.Table, schema)
	if err != nil {
		return nil, fmt.Errorf("retable: SQLite: table %s: %w", j.Table, err)
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		var hidden int
		if err := rows.Scan(&c.name, &c.typ, &c.primary, &hidden); err != nil {
			return nil, fmt.Errorf("retable: SQLite: table %s: %w", j.Table, err)
		}
		c.made = hidden >= 2
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// sqliteKeys returns the names of the key columns; without a primary key, the
// name of the row ID.
func sqliteKeys(ctx context.Context, db querier, columns []column, j *Job) ([]string, error) {
	if len(j.Key) == 1 && slices.Contains(rowids, j.Key[0]) && find(columns, j.Key[0]) == nil {
		return j.Key, hasRowid(ctx, db, j, j.Key[0])
	}
	keys, err := keyColumns(columns, j)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range keys {
		names = append(names, k.name)
	}
	if len(names) > 0 {
		return names, nil
	}
	for _, name := range rowids {
		if !slices.ContainsFunc(columns, func(c column) bool { return strings.EqualFold(c.name, name) }) {
			return []string{name}, hasRowid(ctx, db, j, name)
		}
	}
	return nil, noKey(j)
}

// hasRowid refuses tables without one; there a quoted name would be a text.
func hasRowid(ctx context.Context, db querier, j *Job, name string) error {
	rows, err := db.QueryContext(ctx, "SELECT r."+quote(name)+" FROM "+j.Table.quoted()+" AS r LIMIT 0")
	if err != nil {
		return fmt.Errorf("%w: %w", noKey(j), err)
	}
	return rows.Close()
}

// sqliteScan reads a row of first or next.
func sqliteScan(rows *sql.Rows, keys int) (Key, any, error) {
	class, raw := make([]string, keys+1), make([]any, keys+1)
	to := make([]any, 0, 2*(keys+1))
	for i := range class {
		to = append(to, &class[i], &raw[i])
	}
	if err := rows.Scan(to...); err != nil {
		return nil, nil, err
	}
	key := make(Key, keys)
	for i := range key {
		key[i] = sqliteTyped(class[i], raw[i])
	}
	return key, sqliteTyped(class[keys], raw[keys]), nil
}

// sqliteOne reads a row of all.
func sqliteOne(rows *sql.Rows) (any, error) {
	var class string
	var raw any
	if err := rows.Scan(&class, &raw); err != nil {
		return nil, err
	}
	return sqliteTyped(class, raw), nil
}

// sqliteTyped gives text its type back.
func sqliteTyped(class string, raw any) any {
	b, ok := raw.([]byte)
	if class == "text" && ok {
		return string(b)
	}
	if class == "blob" && !ok { // an empty one, from a driver that gives nil
		return []byte{}
	}
	return raw
}
