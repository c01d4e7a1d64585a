package sqlitetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/cofferdb/coffer/blockstore"
	"github.com/cofferdb/coffer/dek"
	"github.com/cofferdb/coffer/internal/fsx"
	"github.com/cofferdb/coffer/internal/tune"
	"github.com/cofferdb/coffer/sqlitevfs"
)

// program is one database through several power cuts.
type program struct {
	rng   *rand.Rand
	keys  *dek.Keyring
	ids   []dek.ID
	opts  sqlitevfs.Options
	open  []string // what every connection begins with
	lazy  bool     // synchronous=off: a commit may be lost, the last ones first
	steps int

	disk  *fsx.Mem
	name  string // of the VFS
	conn  *sqlite3.Conn
	model *model

	reader *sqlite3.Conn // with a transaction that stays open
	seen   rows

	cuts, commits int
}

var programs atomic.Uint64

func newProgram(seed uint64) *program {
	rng := newRand(seed)
	p := &program{rng: rng, disk: fsx.NewMem(rng.Uint64()), model: newModel(), steps: 4 + rng.IntN(40), keys: dek.NewKeyring()}
	for range 2 {
		k, err := dek.Generate(256)
		if err == nil {
			err = p.keys.Activate(k, dek.Database, dek.Active)
		}
		if err != nil {
			panic(err) // no randomness, no test
		}
		p.ids = append(p.ids, k.ID())
		k.Destroy()
	}
	v := &p.opts.Volume
	v.AllowPlain, v.CacheBytes = true, 256<<10
	v.CheckpointBytes, v.SegmentBytes = int64(64<<10)<<rng.IntN(5), 64<<10
	v.Workers = 1 + rng.IntN(2)
	v.Suite = []blockstore.Suite{blockstore.AESGCM, blockstore.AESGCM, blockstore.AESCBC, blockstore.AESXTS, blockstore.None}[rng.IntN(5)]
	if v.Suite.Allowed(true) != nil {
		v.Suite = blockstore.AESGCM // in FIPS mode
	}
	v.Tune = tune.Store{Inline: rng.IntN(2) == 0, SealReserve: 64, TxMemory: int64(16<<10) << rng.IntN(8)}
	p.opts.SpillBytes = int64(32<<10) << rng.IntN(6)
	p.lazy = rng.IntN(4) == 0
	p.open = []string{
		fmt.Sprintf("PRAGMA page_size=%d", 512<<rng.IntN(6)),
		fmt.Sprintf("PRAGMA cache_size=%d", []int{5, 10, 100}[rng.IntN(3)]),
		"PRAGMA locking_mode=" + []string{"normal", "normal", "exclusive"}[rng.IntN(3)],
		"PRAGMA journal_mode=" + []string{"delete", "delete", "truncate", "persist", "memory"}[rng.IntN(5)],
		"PRAGMA synchronous=" + map[bool]string{true: "off", false: []string{"normal", "full", "extra"}[rng.IntN(3)]}[p.lazy],
		fmt.Sprintf("PRAGMA auto_vacuum=%d", rng.IntN(3)),
		"CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v BLOB)",
		"CREATE INDEX IF NOT EXISTS tv ON t(substr(v,1,20), id)",
	}
	return p
}

// run goes through a few lives, each ended by a cut, and through one that ends well.
func (p *program) run() error {
	for lives := 1 + p.rng.IntN(4); lives > 0; lives-- {
		if err := p.live(); err != nil {
			return err
		}
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

// live works until the power goes, and takes what is left on the disk.
func (p *program) live() error {
	p.disk.CutAfter(p.rng.IntN(1 << (3 + p.rng.IntN(8))))
	err := p.begin()
	for n := 0; err == nil && n < p.steps; n++ {
		err = p.step()
	}
	if err == nil {
		p.disk.CutAfter(0) // it lasted; it goes now
	} else if !errors.Is(err, fsx.ErrPowerCut) && !p.dark() {
		p.end()
		return fmt.Errorf("before the cut: %w", err)
	}
	next := p.disk.Crash(p.rng)
	p.end()
	p.cuts++
	p.disk = next
	return nil
}

// dark reports whether the power is gone: SQLite does not always hand an error's cause on.
func (p *program) dark() bool {
	f, err := p.disk.TempFile("")
	if err == nil {
		_ = f.Close()
	}
	return errors.Is(err, fsx.ErrPowerCut)
}

// begin opens the database on the present disk.
func (p *program) begin() error {
	p.opts.Volume.FS = p.disk
	v, err := sqlitevfs.New(p.keys, &p.opts)
	if err != nil {
		return err
	}
	p.name = fmt.Sprintf("sqlitetest-%d", programs.Add(1))
	vfs.Register(p.name, v)
	if p.conn, err = p.connect(); err != nil {
		return err
	}
	for _, sql := range p.open {
		if err := p.conn.Exec(sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

func (p *program) connect() (*sqlite3.Conn, error) {
	return sqlite3.Open("file:/app.db?vfs=" + p.name)
}

// end closes what is open, whatever the disk says to that.
func (p *program) end() {
	for _, c := range []*sqlite3.Conn{p.reader, p.conn} {
		if c != nil {
			_ = c.Close()
		}
	}
	p.conn, p.reader, p.seen = nil, nil, nil
	vfs.Unregister(p.name)
}

// check opens what a cut left and compares it with the model.
func (p *program) check() error {
	p.disk.CutAfter(-1)
	err := p.begin()
	defer p.end()
	if err != nil {
		return fmt.Errorf("after a cut: %w", err)
	}
	if err := expect(p.conn, "PRAGMA integrity_check", "ok"); err != nil {
		return err
	}
	got, err := contents(p.conn)
	if err != nil {
		return err
	}
	if err := p.model.found(got); err != nil {
		return err
	}
	if p.rng.IntN(4) == 0 {
		return expect(p.conn, "PRAGMA coffer_verify", "ok")
	}
	return nil
}

// expect runs a query with one text for an answer.
func expect(c *sqlite3.Conn, sql, want string) error {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer s.Close()
	if s.Step(); s.ColumnText(0) != want {
		return fmt.Errorf("%s: %q %w", sql, s.ColumnText(0), s.Err())
	}
	return s.Err()
}

// contents reads the table.
func contents(c *sqlite3.Conn) (rows, error) {
	s, _, err := c.Prepare("SELECT id, v FROM t")
	if err != nil {
		return nil, err
	}
	defer s.Close()
	r := rows{}
	for s.Step() {
		r[s.ColumnInt64(0)] = digest(s.ColumnRawBlob(1))
	}
	return r, s.Err()
}
