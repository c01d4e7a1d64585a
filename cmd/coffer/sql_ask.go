package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// What the shell knows beside SQL.
var sqlWords = map[string]string{
	".tables": "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name",
	".schema": "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
}

// ask is the shell on a terminal: it runs statements as they end with a semicolon, and goes on after errors.
func (r *sqlRun) ask(ctx context.Context) error {
	lines := bufio.NewScanner(r.p.stdin)
	lines.Buffer(nil, 16<<20)
	text := ""
	for ctx.Err() == nil {
		prompt := "coffer> "
		if text != "" {
			prompt = "   ...> "
		}
		fmt.Fprint(r.p.stderr, prompt)
		if !lines.Scan() {
			break
		}
		line := strings.TrimSpace(lines.Text())
		sql, word := sqlWords[line]
		switch {
		case text == "" && (line == ".quit" || line == ".exit"):
			return nil
		case text == "" && word:
			text = sql + ";"
		case text == "" && strings.HasPrefix(line, "."):
			r.p.note("there are .tables, .schema and .quit; SQL ends with a semicolon")
			continue
		default:
			text += lines.Text() + "\n"
		}
		if !strings.HasSuffix(strings.TrimSpace(text), ";") {
			continue
		}
		if err := r.all(ctx, text); err != nil {
			fmt.Fprintln(r.p.stderr, "coffer: "+oneLine(err.Error()))
		}
		text = ""
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	return context.Cause(ctx)
}
