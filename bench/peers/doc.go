// Package peers has benchmarks of data elements beside Tink, in one process and
// on the same data. It is a module of its own, so that who uses Coffer does not
// download what it is compared with:
//
//	cd bench/peers && go test -run '^$' -bench . -count 10
//
// `coffer bench elements` compares with the standard library and the bare kernel.
package peers
