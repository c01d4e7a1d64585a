// Package vectors runs Project Wycheproof's test vectors against the primitives
// Coffer uses. It is a module of its own because the vectors are large (109 MB)
// and only these tests need them: run them with "go test -v ./..." in this folder.
//
// Each test asserts how many cases it ran and, where a primitive of Coffer takes
// less than the standard allows (nonces of 96 bits, whole units), how many it
// left out, so that neither can shrink unnoticed.
package vectors
