// Package tabletest has the tests and examples of data elements in databases: of
// element's columns and fields and of element/retable, on SQLite and on a real PostgreSQL
// server. They are not in those packages, so that fuzzing these does not instrument a
// database.
package tabletest
