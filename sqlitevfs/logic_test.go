package sqlitevfs

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLogic: a sequence of random statements, as in sqllogictest, says the same
// over a volume and over a plain file: rows in the same order, errors where there are errors.
func TestLogic(t *testing.T) {
	steps := 1500
	if testing.Short() {
		steps = 300
	}
	const seed = 7
	t.Logf("seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	s := set(t, &Options{SpillBytes: 64 << 10})
	ours := s.open("l.db", "_pragma=cache_size(20)")
	plain, err := sql.Open("sqlite3", "file:"+s.path("plain.db")+"?_pragma=cache_size(20)")
	require.NoError(t, err)
	defer plain.Close()
	ours.SetMaxOpenConns(1)
	plain.SetMaxOpenConns(1)
	answers := 0
	for n := range steps {
		q := statement(rng, n)
		got, err1 := ask(ours, q)
		want, err2 := ask(plain, q)
		require.Equal(t, fmt.Sprint(err2), fmt.Sprint(err1), "%d: %s", n, q)
		require.Equal(t, want, got, "%d: %s", n, q)
		answers += len(want)
	}
	require.Greater(t, answers, steps, "queries that find nothing compare nothing")
	t.Logf("%d statements, %d rows", steps, answers)
	sound(t, ours)
}

// statement makes one up over three tables.
func statement(rng *rand.Rand, n int) string {
	table := func() string { return fmt.Sprintf("t%d", rng.IntN(3)) }
	num := func() int { return rng.IntN(400) - 100 }
	if n < 3 {
		return fmt.Sprintf("CREATE TABLE t%d (a INTEGER PRIMARY KEY, b INTEGER, c TEXT, d BLOB, UNIQUE (b, c))", n)
	}
	where := func() string {
		return []string{fmt.Sprintf("a > %d", num()), fmt.Sprintf("b BETWEEN %d AND %d", num(), num()+100), "c LIKE '%1%'", "d IS NOT NULL",
			fmt.Sprintf("b IN (SELECT b FROM %s WHERE a %% 3 = %d)", table(), rng.IntN(3))}[rng.IntN(5)]
	}
	insert := fmt.Sprintf("INSERT INTO %s (b, c, d) VALUES (%d, 'text %d', zeroblob(%d))", table(), num(), num(), rng.IntN(1<<rng.IntN(14)))
	switch rng.IntN(16) {
	case 0, 1, 2, 3:
		return insert
	case 4:
		return "INSERT OR IGNORE" + strings.TrimPrefix(insert, "INSERT")
	case 5:
		return fmt.Sprintf("UPDATE %s SET b = b + %d, c = c || 'x' WHERE %s", table(), rng.IntN(3), where())
	case 6:
		return fmt.Sprintf("DELETE FROM %s WHERE a %% 17 = %d AND %s", table(), rng.IntN(17), where())
	case 7:
		return []string{"SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "BEGIN", "COMMIT", "ROLLBACK", "VACUUM", "ANALYZE"}[rng.IntN(8)]
	case 8:
		return fmt.Sprintf("%s INDEX %s i%d", []string{"CREATE", "DROP"}[rng.IntN(2)], []string{"IF NOT EXISTS", "IF EXISTS"}[rng.IntN(2)], rng.IntN(3)) +
			[]string{"", fmt.Sprintf(" ON %s (c, b)", table())}[rng.IntN(2)]
	case 9:
		return fmt.Sprintf("INSERT INTO %s (b, c, d) SELECT b + 1000, c, d FROM %s WHERE %s LIMIT 40", table(), table(), where())
	case 10:
		return fmt.Sprintf("SELECT count(*), sum(b), max(c), total(length(d)) FROM %s WHERE %s", table(), where())
	case 11:
		return fmt.Sprintf("SELECT x.a, y.b, length(x.d) FROM %s x JOIN %s y ON x.b = y.b WHERE x.%s ORDER BY x.a, y.a LIMIT 50", table(), table(), fmt.Sprintf("a > %d", num()))
	case 12:
		return fmt.Sprintf("SELECT b %% 7 AS g, count(*), group_concat(a) FROM %s GROUP BY g HAVING count(*) > 1 ORDER BY g", table())
	case 13:
		return fmt.Sprintf("SELECT c, hex(substr(d, 1, 8)) FROM %s UNION SELECT c, b FROM %s ORDER BY 1, 2 LIMIT 30", table(), table())
	case 14:
		return fmt.Sprintf("WITH RECURSIVE r(i) AS (SELECT %d UNION ALL SELECT i + 7 FROM r WHERE i < 300) SELECT i, (SELECT c FROM %s WHERE a = i) FROM r", num(), table())
	}
	return fmt.Sprintf("SELECT a, rank() OVER (ORDER BY b, a), c FROM %s WHERE %s ORDER BY a DESC LIMIT 25", table(), where())
}
