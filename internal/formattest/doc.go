// Package formattest holds a second reader of Coffer's files, written from
// FORMAT.md and not from the code: it proves that the document is enough to
// write a reader from, and that the code writes what the document says.
//
// There is nothing here but tests. The reader is in the files that begin with
// "reader_". They import the standard library only, and take the offsets of
// fields from the tables of FORMAT.md, so that a table that is wrong breaks
// them. The other files make volumes with package blockstore, of every suite,
// key size and block size, cleanly closed and left by a crash, and compare what
// the two readers find in them.
//
// testdata holds golden files, made once, that must stay readable:
//
//	go test ./internal/formattest -run TestGolden -golden
//
// makes them anew, with the worked examples of FORMAT.md, and is to be used
// only when a format version is.
package formattest
