// Package sqlitevfs keeps SQLite databases in encrypted volumes: a VFS for
// [github.com/ncruces/go-sqlite3], which runs SQLite without cgo.
//
//	keys := dek.NewKeyring() // and activate keys in it: from a key file, a KMS, a KMIP server
//	err := sqlitevfs.Register("coffer", keys, nil)
//	db, err := sql.Open("sqlite3", "file:app.db?vfs=coffer")
//
// # What it is
//
// A database is one volume, and the volume's journal is the only journal: a
// transaction of SQLite becomes one atomic commit of the volume, durable with one
// sync. What SQLite keeps beside a database – its rollback journal, temporary
// databases, what a sort does not hold in memory – lives in memory and spills to
// files without a name, sealed under a key that ends with them. Nothing that
// SQLite writes reaches a disk in clear.
//
// # What it is not
//
// Not a way to put a key into a URI: keys are given in Go, and a URI that has a
// key is refused. Not for several processes: the one that has the volume open
// owns it, others are refused by name. Not write-ahead logging: a database in WAL
// mode opens and stays marked so, but there is no -wal file; every mode of
// `PRAGMA journal_mode` is as durable, and readers and the writer do not block each other in any.
//
// # Concurrency
//
// Connections of one process share the volume. A read transaction is a snapshot
// and never waits. One connection writes at a time; another one gets SQLITE_BUSY
// after a moment, and waits as long as its busy timeout says. A read transaction that
// wants to write after somebody else has committed gets SQLITE_BUSY_SNAPSHOT, as in WAL mode.
//
// # Durability
//
// With `PRAGMA synchronous` other than off a commit is durable when it returns. With off
// it is lazy: other connections see it at once, and a crash or a power cut takes back the
// last commits, whole ones, in order. A transaction over several attached databases is
// atomic in each of them, and not over all.
package sqlitevfs
