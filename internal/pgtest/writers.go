package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
)

// Writers are the live users of a table while its values get another key: they
// insert, change and delete rows, and know what must be in it in the end.
type Writers struct {
	t        testing.TB
	db       *sql.DB
	c        *element.Cipher
	old, new dek.ID
	switched atomic.Bool // writers use the new key only
	stop     context.CancelFunc
	group    sync.WaitGroup
	models   []map[int64]string // of each writer: plaintext by row; a writer owns the rows with id mod len(models)
	Ops      atomic.Int64       // how many writes were committed
}

// Table is the writers' table; its key column is id, its values are in val, bound to
// Context.
const (
	Table   = "accounts"
	Context = "accounts.val.{id}"
)

// StartWriters makes the table with rows under the old key, and lets n writers loose on
// it. They use the old key or the new one, until [Writers.Switch]. seed makes their choices.
func StartWriters(t testing.TB, db *sql.DB, c *element.Cipher, old, new dek.ID, rows, n int, seed uint64) *Writers {
	t.Helper()
	_, err := db.Exec("CREATE TABLE " + Table + " (id BIGINT PRIMARY KEY, val TEXT, n INTEGER NOT NULL DEFAULT 0)")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	w := &Writers{t: t, db: db, c: c, old: old, new: new, stop: stop}
	for range n {
		w.models = append(w.models, map[int64]string{})
	}
	tx, err := db.Begin()
	require.NoError(t, err)
	for id := range int64(rows) {
		p := fmt.Sprintf("first %d", id)
		_, err := tx.Exec("INSERT INTO "+Table+" (id, val) VALUES ($1, $2)", id, w.seal(old, id, p))
		require.NoError(t, err)
		w.models[id%int64(n)][id] = p
	}
	require.NoError(t, tx.Commit())
	for i := range n {
		w.group.Go(func() { w.run(ctx, i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	t.Cleanup(w.wait)
	return w
}

// pause is between two writes of one writer.
const pause = 2 * time.Millisecond

func contextOf(id int64) []byte {
	return element.NewContext("accounts", "val", strconv.FormatInt(id, 10))
}

func (w *Writers) seal(key dek.ID, id int64, p string) string {
	b, err := w.c.Encrypt([]byte(p), key, contextOf(id))
	if err != nil {
		panic(err) // a test's own keys
	}
	return element.EncodeText(b)
}

// run writes until ctx ends. Each write is a statement of its own; what it did is
// noted when it is committed, and no write is cut off on the way.
func (w *Writers) run(ctx context.Context, i int, r *rand.Rand) {
	model, n := w.models[i], int64(len(w.models))
	next := int64(1_000_000) + int64(i) - 1_000_000%n
	for seq := 0; ctx.Err() == nil; seq++ {
		key := w.new
		if !w.switched.Load() && r.IntN(2) == 0 {
			key = w.old
		}
		id, p := anyRow(model, r), fmt.Sprintf("writer %d, %d", i, seq)
		var err error
		switch op := r.IntN(10); {
		case op == 0:
			id = next
			if r.IntN(2) == 0 {
				id = -next // before all others, and behind every walk
			}
			next += n
			_, err = w.db.Exec("INSERT INTO "+Table+" (id, val) VALUES ($1, $2)", id, w.seal(key, id, p))
			model[id] = p
		case op == 1 && len(model) > 10:
			_, err = w.db.Exec("DELETE FROM "+Table+" WHERE id = $1", id)
			delete(model, id)
		case op == 2: // another column of a row that is re-keyed
			_, err = w.db.Exec("UPDATE "+Table+" SET n = n + 1 WHERE id = $1", id)
		default:
			_, err = w.db.Exec("UPDATE "+Table+" SET val = $1 WHERE id = $2", w.seal(key, id, p), id)
			model[id] = p
		}
		if err != nil {
			w.t.Errorf("writer %d: %v", i, err)
			return
		}
		w.Ops.Add(1)
		time.Sleep(pause) // a load, not a flood: nothing waits for it
	}
}

// anyRow returns one of a writer's rows.
func anyRow(model map[int64]string, r *rand.Rand) int64 {
	skip := r.IntN(min(len(model), 8))
	for id := range model {
		if skip--; skip < 0 {
			return id
		}
	}
	return 0
}

// Switch lets the writers use the new key only.
func (w *Writers) Switch() { w.switched.Store(true) }

func (w *Writers) wait() {
	w.stop()
	w.group.Wait()
}

// Verify stops the writers and wants exactly their rows in the table: none lost, none doubled, each
// as its writer left it, each under the new key. It returns how many there are.
func (w *Writers) Verify() int {
	w.t.Helper()
	w.wait()
	rows, err := w.db.Query("SELECT id, val FROM " + Table)
	require.NoError(w.t, err)
	defer rows.Close()
	got, want := map[int64]string{}, map[int64]string{}
	for rows.Next() {
		var id int64
		var text string
		require.NoError(w.t, rows.Scan(&id, &text))
		sealed, err := element.DecodeText(text)
		require.NoError(w.t, err)
		h, err := element.Parse(sealed)
		require.NoError(w.t, err)
		require.Equal(w.t, w.new, h.Key, "row %d", id)
		p, err := w.c.Decrypt(sealed, contextOf(id))
		require.NoError(w.t, err, "row %d", id)
		require.NotContains(w.t, got, id, "doubled")
		got[id] = string(p)
	}
	require.NoError(w.t, rows.Err())
	for _, m := range w.models {
		for id, p := range m {
			want[id] = p
		}
	}
	require.Equal(w.t, want, got)
	return len(got)
}
