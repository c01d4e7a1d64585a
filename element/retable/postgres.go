package retable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// postgresStatements asks PostgreSQL's catalogue. Keys travel in the text form
// that the database gives them, whatever their type is, and are compared in
// their own type.
func postgresStatements(ctx context.Context, db querier, j *Job) (*statements, error) {
	columns, err := postgresColumns(ctx, db, j)
	if err != nil {
		return nil, err
	}
	c, err := target(columns, j)
	if err != nil {
		return nil, err
	}
	if !c.text && !c.bytes {
		return nil, fault.Hint(fmt.Errorf("retable: %w: column %s of table %s has the type %s", fault.Unsupported, show(c.name), j.Table, c.typ),
			"Encrypted values lie in text, varchar or bytea.")
	}
	keys, err := keyColumns(columns, j)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, noKey(j)
	}
	return postgresText(j, c, keys), nil
}

// postgresText writes the statements.
func postgresText(j *Job, c *column, keys []*column) *statements {
	s := &statements{scan: postgresScan(c.text), value: postgresOne(c.text)}
	table, value := j.Table.quoted(), "r."+quote(j.Column)
	read, cast, exact := value, "bytea", value
	if c.text {
		read, cast = value+"::text", "text"
		exact = value + `::text COLLATE "C"` // a column's own collation may take two texts for one
	}
	var ks, list []string
	for _, k := range keys {
		s.keys, s.hexKeys = append(s.keys, k.name), append(s.hexKeys, k.bytes)
		ks = append(ks, "r."+quote(k.name))
		list = append(list, "r."+quote(k.name)+"::text")
	}
	marks := func(from int) string {
		var ms []string
		for i, k := range keys {
			ms = append(ms, fmt.Sprintf("$%d::text::%s", from+i, k.typ))
		}
		return tuple(ms)
	}
	n := len(keys)
	order := " ORDER BY " + strings.Join(ks, ", ") + " LIMIT "
	from := " FROM " + table + " AS r WHERE "
	s.total = "SELECT count(*)" + from + value + " IS NOT NULL"
	s.nullKeys = "SELECT EXISTS (SELECT 1" + from + isNull(ks) + ")"
	s.first = "SELECT " + strings.Join(list, ", ") + ", " + read + from + value + " IS NOT NULL" + order + "$1"
	s.next = "SELECT " + strings.Join(list, ", ") + ", " + read + from + tuple(ks) + " > " + marks(1) + " AND " +
		value + " IS NOT NULL" + order + fmt.Sprintf("$%d", n+1)
	// The row is locked first, or skipped where somebody else has it: a batch that waits for a lock while it
	// holds others could be one side of a deadlock, and the other side is a live writer.
	match := tuple(ks) + " = " + marks(2) + " AND " + exact + fmt.Sprintf(" = $%d::%s", n+2, cast)
	s.update = "UPDATE " + table + " AS r SET " + quote(j.Column) + " = $1::" + cast + " WHERE " + match +
		" AND EXISTS (SELECT 1" + from + match + " FOR NO KEY UPDATE SKIP LOCKED)"
	s.all = "SELECT " + read + from + value + " IS NOT NULL"
	return s
}

const postgresCatalogue = `
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, -1),
       coalesce(array_position((i.indkey::int2[])[0:i.indnkeyatts - 1], a.attnum), -1), a.attgenerated <> '',
       b.typcategory = 'S' AND b.typlen = -1, b.typname = 'bytea'
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
  LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum`

// postgresColumns lists the columns of a table.
func postgresColumns(ctx context.Context, db querier, j *Job) ([]column, error) {
	var kind sql.NullString
	err := db.QueryRowContext(ctx, "SELECT relkind::text FROM pg_class WHERE oid = to_regclass($1)", j.Table.quoted()).Scan(&kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, fault.Hint(fmt.Errorf("retable: %w: there is no table %s", fault.Usage, j.Table), "The case counts, and so does the schema.")
	case err != nil:
		return nil, fmt.Errorf("retable: PostgreSQL: table %s: %w", j.Table, err)
	case kind.String != "r" && kind.String != "p":
		return nil, fmt.Errorf("retable: %w: %s is no table", fault.Usage, j.Table)
	}
	rows, err := db.QueryContext(ctx, postgresCatalogue, j.Table.quoted())
	if err != nil {
		return nil, fmt.Errorf("retable: PostgreSQL: table %s: %w", j.Table, err)
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		var full string
		if err := rows.Scan(&c.name, &full, &c.typ, &c.primary, &c.made, &c.text, &c.bytes); err != nil {
			return nil, fmt.Errorf("retable: PostgreSQL: table %s: %w", j.Table, err)
		}
		c.primary++ // an int2vector counts from 0
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// postgresScan reads a row of first or next.
func postgresScan(text bool) func(*sql.Rows, int) (Key, any, error) {
	return func(rows *sql.Rows, keys int) (Key, any, error) {
		parts, raw := make([]string, keys), []byte(nil)
		to := make([]any, 0, keys+1)
		for i := range parts {
			to = append(to, &parts[i])
		}
		if err := rows.Scan(append(to, &raw)...); err != nil {
			return nil, nil, err
		}
		key := make(Key, keys)
		for i := range key {
			key[i] = parts[i]
		}
		return key, textOrBytes(text, raw), nil
	}
}

// postgresOne reads a row of all.
func postgresOne(text bool) func(*sql.Rows) (any, error) {
	return func(rows *sql.Rows) (any, error) {
		var raw []byte
		err := rows.Scan(&raw)
		return textOrBytes(text, raw), err
	}
}

func textOrBytes(text bool, raw []byte) any {
	if text {
		return string(raw)
	}
	return raw
}
