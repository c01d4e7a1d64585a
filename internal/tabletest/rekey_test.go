package tabletest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/element"
	"github.com/cofferdb/coffer/element/retable"
)

// patients makes a table of n patients whose values are under the old key.
func patients(b *base, s *safe, n int) retable.Job {
	b.t.Helper()
	b.exec("CREATE TABLE patients (id INTEGER PRIMARY KEY, ssn TEXT, visits INTEGER NOT NULL DEFAULT 0)")
	tx, err := b.Begin()
	require.NoError(b.t, err)
	for i := range n {
		_, err := tx.Exec("INSERT INTO patients (id, ssn) VALUES ($1, $2)", i, s.text(s.old, fmt.Sprintf("patients.ssn.%d", i), plainOf(i)))
		require.NoError(b.t, err)
	}
	require.NoError(b.t, tx.Commit())
	return retable.Job{Table: retable.Name{Table: "patients"}, Column: "ssn", Do: retable.Rekey, From: s.old, To: s.new,
		Context: template(b.t, "patients.ssn.{id}")}
}

func plainOf(i int) string { return fmt.Sprintf("000-%d", i) }

// allUnder reads every patient and wants it under this key, whole.
func allUnder(b *base, s *safe, key dek.ID, n int) {
	b.t.Helper()
	rows, err := b.Query("SELECT id, ssn FROM patients ORDER BY id")
	require.NoError(b.t, err)
	defer rows.Close()
	seen := 0
	for ; rows.Next(); seen++ {
		var id int
		var ssn string
		require.NoError(b.t, rows.Scan(&id, &ssn))
		got, under := s.open(ssn, fmt.Sprintf("patients.ssn.%d", id))
		require.Equal(b.t, plainOf(id), got)
		require.Equal(b.t, key, under, "row %d", id)
	}
	require.NoError(b.t, rows.Err())
	require.Equal(b.t, n, seen)
}

func TestRekey(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 250)
		b.exec("INSERT INTO patients (id, ssn) VALUES (1000, NULL)")
		var steps [][4]int64
		r := run(t, b, s, j, &retable.Options{Batch: 100, Progress: func(p retable.Progress) {
			steps = append(steps, [4]int64{int64(p.Round), p.Done, p.Total, p.Changed})
		}})
		require.Equal(t, int64(250), r.Changed)
		require.Equal(t, &retable.Census{Values: 250, Keys: map[dek.ID]int64{s.new: 250}}, r.Count)
		require.Equal(t, [][4]int64{{1, 100, 250, 100}, {1, 200, 250, 200}, {1, 250, 250, 250}}, steps)
		require.Equal(t, 1, b.int("SELECT count(*) FROM patients WHERE ssn IS NULL AND id = 1000"))
		b.exec("DELETE FROM patients WHERE id = 1000")
		allUnder(b, s, s.new, 250)

		r = run(t, b, s, j, nil)
		require.Zero(t, r.Changed, "done is done")
	})
}

func TestDryRun(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 30)
		place := filepath.Join(t.TempDir(), "place")
		r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, &retable.Options{DryRun: true, Batch: 7, Checkpoint: retable.InFile(place)})
		require.NoError(t, err)
		require.Equal(t, int64(30), r.Changed)
		require.Equal(t, int64(30), r.Left)
		require.True(t, r.DryRun)
		require.NoFileExists(t, place)
		allUnder(b, s, s.old, 30)
	})
}

func TestResume(t *testing.T) {
	for name, checkpoint := range map[string]func(t *testing.T) retable.Checkpoint{
		"file":  func(t *testing.T) retable.Checkpoint { return retable.InFile(filepath.Join(t.TempDir(), "place")) },
		"table": func(*testing.T) retable.Checkpoint { return retable.InTable(retable.Name{Table: "coffer rekey"}) },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, b *base) {
				s := newSafe(t)
				j := patients(b, s, 60)
				at := checkpoint(t)
				ctx, stop := context.WithCancel(context.Background())
				o := &retable.Options{Batch: 10, Checkpoint: at, Progress: func(p retable.Progress) {
					if p.Done == 30 {
						stop()
					}
				}}
				r, err := retable.Run(ctx, b.DB, b.dialect, s, j, o)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, int64(30), r.Changed)

				other := j
				other.To = dek.NewID()
				if name == "file" { // a table keeps the places of many jobs
					_, err = retable.Run(context.Background(), b.DB, b.dialect, anyKey{s}, other, o)
					require.ErrorIs(t, err, retable.ErrState)
				}

				r = run(t, b, s, j, o)
				require.True(t, r.Resumed)
				require.Equal(t, int64(30), r.Seen, "what was done is not looked at again")
				allUnder(b, s, s.new, 60)
				require.False(t, run(t, b, s, j, o).Resumed, "the checkpoint is gone")
			})
		})
	}
}

// anyKey says that it has every key.
type anyKey struct{ *safe }

func (a anyKey) EncryptWith(suite element.Suite, p []byte, _ dek.ID, context []byte) ([]byte, error) {
	return a.safe.EncryptWith(suite, p, a.new, context)
}

// meddler is a cipher beside which somebody writes to the table.
type meddler struct {
	*safe
	before func(plaintext string)
}

func (m meddler) Rekey(ciphertext []byte, to dek.ID, context []byte) ([]byte, error) {
	p, err := m.Decrypt(ciphertext, context)
	if err == nil {
		m.before(string(p))
	}
	return m.safe.Rekey(ciphertext, to, context)
}

// TestWriterWins: what is written between reading and writing stays.
func TestWriterWins(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 20)
		j.Context = nil
		b.exec("UPDATE patients SET ssn = NULL")
		for i := range 20 {
			b.exec("UPDATE patients SET ssn = $1 WHERE id = $2", s.text(s.old, "", plainOf(i)), i)
		}
		done := map[string]bool{}
		m := meddler{s, func(p string) {
			if done[p] {
				return
			}
			done[p] = true
			switch p {
			case plainOf(3): // changed, under the old key
				b.exec("UPDATE patients SET ssn = $1 WHERE id = 3", s.text(s.old, "", "changed 3"))
			case plainOf(5): // changed, under the new key
				b.exec("UPDATE patients SET ssn = $1 WHERE id = 5", s.text(s.new, "", "changed 5"))
			case plainOf(7):
				b.exec("DELETE FROM patients WHERE id = 7")
			case plainOf(9): // another column: no race
				b.exec("UPDATE patients SET visits = 9 WHERE id = 9")
			case plainOf(11): // a row behind the place
				b.exec("INSERT INTO patients (id, ssn) VALUES (-1, $1)", s.text(s.old, "", "late"))
			case plainOf(13):
				b.exec("UPDATE patients SET ssn = NULL WHERE id = 13")
			}
		}}
		r := run(t, b, m, j, nil)
		require.Equal(t, int64(4), r.Raced)
		require.Equal(t, 2, r.Rounds)
		want := map[int]string{-1: "late", 3: "changed 3", 5: "changed 5"}
		for i := -1; i < 20; i++ {
			if i == 7 || i == 13 {
				continue
			}
			var text string
			require.NoError(t, b.QueryRow("SELECT ssn FROM patients WHERE id = $1", i).Scan(&text))
			got, key := s.open(text, "")
			if want[i] == "" {
				want[i] = plainOf(i)
			}
			require.Equal(t, want[i], got)
			require.Equal(t, s.new, key)
		}
		require.Zero(t, b.int("SELECT count(*) FROM patients WHERE id = 7"))
		require.Equal(t, 1, b.int("SELECT count(*) FROM patients WHERE id = 13 AND ssn IS NULL"))
		require.Equal(t, 9, b.int("SELECT visits FROM patients WHERE id = 9"))
	})
}

// TestOldKeyStillWritten: while somebody goes on writing under the old key, it is never called done.
func TestOldKeyStillWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 5)
		j.Context = nil
		b.exec("DELETE FROM patients")
		b.exec("INSERT INTO patients (id, ssn) VALUES (0, $1)", s.text(s.old, "", "0"))
		n := 0
		m := meddler{s, func(string) {
			n--
			b.exec("INSERT INTO patients (id, ssn) VALUES ($1, $2)", n, s.text(s.old, "", "more"))
		}}
		r, err := retable.Run(context.Background(), b.DB, b.dialect, m, j, &retable.Options{Rounds: 3})
		require.ErrorIs(t, err, retable.ErrState)
		require.Equal(t, 3, r.Rounds)
		require.Equal(t, int64(1), r.Left)
	})
}

func TestBadValues(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 12)
		strange, err := dek.Generate(128)
		require.NoError(t, err)
		sealed := s.bytes(s.old, "patients.ssn.2", "2")
		sealed[len(sealed)-1] ^= 1
		altered := element.EncodeText(sealed)
		foreign := s.bytes(s.old, "patients.ssn.5", "5")
		id := strange.ID()
		copy(foreign[6:], id[:])
		bad := map[int]string{
			1: "123-45-6789",
			2: altered,
			3: s.text(s.old, "patients.ssn.4", "moved here"),
			4: s.text(s.old, "patients.ssn.4", "cut")[:40],
			5: element.EncodeText(foreign),
			6: "",
			7: s.text(s.old, "patients.ssn.7", "stray") + "=",
		}
		for i, v := range bad {
			b.exec("UPDATE patients SET ssn = $1 WHERE id = $2", v, i)
		}
		j.From = dek.ID{}
		told := map[string]error{}
		r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, &retable.Options{Batch: 3, Bad: func(w retable.BadRow) {
			require.NotContains(t, told, w.Row)
			told[w.Row] = w.Err
		}})
		var left *retable.IncompleteError
		require.ErrorAs(t, err, &left)
		require.Equal(t, int64(7), left.Bad)
		require.Equal(t, int64(3), left.Left, "damaged, moved and under a key that is not there: all by their headers")
		require.Len(t, left.Rows, 7)
		for row, want := range map[string]error{"id=1": element.ErrNotElement, "id=2": element.ErrTampered, "id=3": element.ErrTampered,
			"id=4": element.ErrDamaged, "id=5": element.ErrNotActivated, "id=6": element.ErrNotElement, "id=7": element.ErrDamaged} {
			require.ErrorIs(t, told[row], want, row)
			require.ErrorIs(t, err, want)
		}
		require.ErrorContains(t, told["id=5"], id.String())
		require.NotContains(t, err.Error(), "123-45")
		require.Equal(t, int64(5), r.Changed)
		require.Equal(t, int64(2), r.Count.Broken)
		for i, v := range bad {
			var now string
			require.NoError(t, b.QueryRow("SELECT ssn FROM patients WHERE id = $1", i).Scan(&now))
			require.Equal(t, v, now, "left as it is")
			b.exec("DELETE FROM patients WHERE id = $1", i)
		}
		allUnder(b, s, s.new, 5)
	})
}

// TestBadValuesAfterResume: what lies before the place is reported all the same.
func TestBadValuesAfterResume(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 20)
		b.exec("UPDATE patients SET ssn = 'plain' WHERE id = 1")
		ctx, stop := context.WithCancel(context.Background())
		o := &retable.Options{Batch: 5, Checkpoint: retable.InFile(filepath.Join(t.TempDir(), "place")), Progress: func(retable.Progress) { stop() }}
		_, err := retable.Run(ctx, b.DB, b.dialect, s, j, o)
		require.ErrorIs(t, err, context.Canceled)
		r, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, o)
		require.ErrorIs(t, err, element.ErrNotElement)
		require.True(t, r.Resumed)
		require.Equal(t, 2, r.Rounds)
		require.Zero(t, r.Left)
	})
}

// TestRowHeld: a row that another transaction holds is not waited for.
func TestRowHeld(t *testing.T) {
	b, s := postgres(t), newSafe(t)
	j := patients(b, s, 10)
	tx, err := b.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE patients SET visits = 1 WHERE id = 4")
	require.NoError(t, err)
	r := run(t, b, s, j, &retable.Options{Progress: func(p retable.Progress) {
		if p.Round == 2 {
			require.NoError(t, tx.Commit())
		}
	}})
	require.GreaterOrEqual(t, r.Raced, int64(1))
	require.GreaterOrEqual(t, r.Rounds, 3)
	allUnder(b, s, s.new, 10)
	require.Equal(t, 1, b.int("SELECT visits FROM patients WHERE id = 4"))
}

func TestTooNarrow(t *testing.T) {
	b, s := postgres(t), newSafe(t)
	b.exec("CREATE TABLE narrow (id int PRIMARY KEY, v varchar(20))")
	b.exec("INSERT INTO narrow VALUES (1, 'short'), (2, NULL)")
	_, err := retable.Run(context.Background(), b.DB, b.dialect, s,
		retable.Job{Table: retable.Name{Table: "narrow"}, Column: "v", Do: retable.Encrypt, To: s.new}, nil)
	require.ErrorContains(t, err, "row id=1")
	require.ErrorContains(t, err, "22001")
	require.Equal(t, 1, b.int("SELECT count(*) FROM narrow WHERE v = 'short'"))
}

func TestRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		j := patients(b, s, 3)
		b.exec("CREATE VIEW seen AS SELECT * FROM patients")
		b.exec("CREATE TABLE nulls (a INTEGER, v TEXT)")
		b.exec("INSERT INTO nulls VALUES (NULL, 'x')")
		for name, c := range map[string]struct {
			change func(j *retable.Job)
			want   error
		}{
			"no table":           {func(j *retable.Job) { j.Table.Table = "Patients x" }, retable.ErrUsage},
			"no schema":          {func(j *retable.Job) { j.Table.Schema = "nowhere" }, nil},
			"view":               {func(j *retable.Job) { j.Table.Table = "seen" }, retable.ErrUsage},
			"no column":          {func(j *retable.Job) { j.Column = "SSN number" }, retable.ErrUsage},
			"case of a column":   {func(j *retable.Job) { j.Column = "SSN" }, retable.ErrUsage},
			"no key column":      {func(j *retable.Job) { j.Key = []string{"nothing"} }, retable.ErrUsage},
			"the key itself":     {func(j *retable.Job) { j.Column = "id" }, nil},
			"context of another": {func(j *retable.Job) { j.Context = template(t, "patients.{visits}") }, retable.ErrUsage},
			"null in the key":    {func(j *retable.Job) { j.Table.Table, j.Column, j.Key, j.Context = "nulls", "v", []string{"a"}, nil }, retable.ErrState},
			"no operation":       {func(j *retable.Job) { j.Do = 0 }, retable.ErrUsage},
			"same key":           {func(j *retable.Job) { j.From = j.To }, retable.ErrUsage},
			"no key":             {func(j *retable.Job) { j.To = dek.ID{} }, retable.ErrUsage},
			"key not there":      {func(j *retable.Job) { j.To = dek.NewID() }, element.ErrNotActivated},
			"empty name":         {func(j *retable.Job) { j.Column = "" }, retable.ErrUsage},
			"zero in a name":     {func(j *retable.Job) { j.Column = "a\x00b" }, retable.ErrUsage},
		} {
			t.Run(name, func(t *testing.T) {
				j := j
				c.change(&j)
				_, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
				require.Error(t, err)
				if c.want != nil {
					require.ErrorIs(t, err, c.want)
				}
			})
		}
		allUnder(b, s, s.old, 3)
		for _, o := range []retable.Options{{Batch: -1}, {Batch: 10_001}, {Rounds: -1}, {Rate: -1}} {
			_, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, &o)
			require.ErrorIs(t, err, retable.ErrUsage)
		}
		_, err := retable.Run(context.Background(), b.DB, 0, s, j, nil)
		require.ErrorIs(t, err, retable.ErrUsage)
	})
}

// TestOddNames: names are names, whatever is in them.
func TestOddNames(t *testing.T) {
	onBoth(t, func(t *testing.T, b *base) {
		s := newSafe(t)
		const table, column, key = `odd "t'; DROP TABLE patients; --.x`, `co"l'u.mn $1 ?1`, `k"e y.?`
		q := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
		b.exec("CREATE TABLE " + q(table) + " (" + q(key) + " TEXT PRIMARY KEY NOT NULL, " + q(column) + " TEXT)")
		keys := []string{"", "a.b", `back\slash`, "Ω", "x'; --", "2024-01-02T03:04:05Z", strings.Repeat("long", 200)}
		for _, k := range keys {
			ctx := string(element.NewContext("t", k))
			b.exec("INSERT INTO "+q(table)+" VALUES ($1, $2)", k, s.text(s.old, ctx, "of "+k))
		}
		name, err := retable.ParseName(q(table))
		require.NoError(t, err)
		j := retable.Job{Table: name, Column: column, Do: retable.Rekey, To: s.new, Context: template(t, "t.{"+key+"}")}
		r := run(t, b, s, j, &retable.Options{Batch: 2, Checkpoint: retable.InTable(retable.Name{Table: `check"point`})})
		require.Equal(t, int64(len(keys)), r.Changed)
		for _, k := range keys {
			var v string
			require.NoError(t, b.QueryRow("SELECT "+q(column)+" FROM "+q(table)+" WHERE "+q(key)+" = $1", k).Scan(&v))
			got, under := s.open(v, string(element.NewContext("t", k)))
			require.Equal(t, "of "+k, got)
			require.Equal(t, s.new, under)
		}
	})
}

func TestFailingCipher(t *testing.T) {
	b, s := sqlite(t), newSafe(t)
	j := patients(b, s, 3)
	s.Close()
	_, err := retable.Run(context.Background(), b.DB, b.dialect, s, j, nil)
	require.ErrorIs(t, err, element.ErrClosed)
	require.False(t, errors.Is(err, element.ErrTampered))
}
