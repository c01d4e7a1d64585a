// Package oasis runs the test cases that OASIS published for KMIP. It is a module
// of its own because its oracle, the TTLV codec of gemalto/kmip-go, brings a
// dozen modules that only these tests need: run them with "go test -v ./..." here.
//
// The cases of 1.0 to 1.4 come with the ovh/kmip-go module; those of 2.0 and 2.1
// lie in the folder that COFFER_KMIP_CASES names. Without it their tests are skipped.
//
// Each message is encoded by the oracle, decoded by Coffer and encoded again: the
// bytes must be the same. The cases of 2.1 for the baseline, the symmetric key
// life cycle and the symmetric key foundry are also replayed over TLS, by a server
// of the test's own. Every test asserts how many messages it met, so that the
// number cannot shrink unnoticed.
package oasis
