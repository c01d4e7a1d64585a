package retable

import (
	"fmt"
	"strings"

	"github.com/cofferdb/coffer/internal/fault"
)

// Name is the name of a table as the database has it: the case counts, and
// nothing in it needs quotes.
type Name struct {
	Schema string // "": where the connection looks first (PostgreSQL's search_path, SQLite's main)
	Table  string
}

// ParseName reads "table" or "schema.table". A part in double quotes may hold a
// dot, and a double quote that is written twice: "odd.name", public."say ""hi""".
func ParseName(text string) (Name, error) {
	first, rest, err := namePart(text)
	if err != nil {
		return Name{}, err
	}
	if rest == "" {
		return Name{Table: first}, nil
	}
	second, rest, err := namePart(rest[1:])
	if err != nil {
		return Name{}, err
	}
	if rest != "" {
		return Name{}, badName(text)
	}
	return Name{Schema: first, Table: second}, nil
}

// namePart reads one part, up to a dot or the end, which rest begins with.
func namePart(text string) (part, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		i := strings.IndexByte(text, '.')
		if i < 0 {
			i = len(text)
		}
		part, rest = text[:i], text[i:]
		if strings.ContainsRune(part, '"') {
			return "", "", badName(text)
		}
		return part, rest, checkIdentifier(part)
	}
	var b strings.Builder
	for rest = text[1:]; ; {
		inside, after, closed := strings.Cut(rest, `"`)
		b.WriteString(inside)
		switch {
		case !closed:
			return "", "", badName(text)
		case strings.HasPrefix(after, `"`):
			b.WriteByte('"')
			rest = after[1:]
		case after == "" || after[0] == '.':
			return b.String(), after, checkIdentifier(b.String())
		default:
			return "", "", badName(text)
		}
	}
}

func badName(text string) error {
	return fmt.Errorf("retable: %w: %q is not a table's name: write table or schema.table, a part with a dot in double quotes", fault.Usage, text)
}

// checkIdentifier refuses what no database has as a name.
func checkIdentifier(name string) error {
	if name == "" || strings.ContainsRune(name, 0) {
		return fmt.Errorf("retable: %w: %q cannot be a name in a database", fault.Usage, name)
	}
	return nil
}

// String returns the name as [ParseName] reads it.
func (n Name) String() string {
	if n.Schema == "" {
		return show(n.Table)
	}
	return show(n.Schema) + "." + show(n.Table)
}

func show(part string) string {
	if strings.ContainsAny(part, `."`) || part == "" {
		return quote(part)
	}
	return part
}

// quote makes an identifier of SQL, whatever the name holds. Both dialects read
// it so (SQL:2023, delimited identifier).
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoted is the table's name in a statement.
func (n Name) quoted() string {
	if n.Schema == "" {
		return quote(n.Table)
	}
	return quote(n.Schema) + "." + quote(n.Table)
}
