// Package sqlitetest cuts the power under SQLite: databases of package sqlitevfs
// on the file system that crashes, a random program of SQL, a cut at a random
// operation of the disk – in recovery too – and then SQLite's own integrity_check
// and a comparison of every row with a model. What was acknowledged durably is
// there; a transaction is there whole or not at all; lazy ones go from the end.
//
// The program of a seed is the same each time. What happens at once with it (a
// checkpoint or a re-key in the background) is not, so that a failure may take several runs to come again.
package sqlitetest
