// Package fips answers one question for all of Coffer: which cryptography may
// be used in this process?
//
// Without FIPS mode, Coffer's own kernels and every suite. With it, only the
// services of the FIPS 140-3 Go Cryptographic Module, in a version that the
// CMVP has validated, and of those only approved ones, in the form in which the
// module approves them. [Allow] is asked before every use; [Services] lists
// what it answers, with the standard of each and why the others are refused.
//
// The mode is asked for with [Require], or with COFFER_FIPS=1 in the
// environment. Then either the validated module is in this program, is switched
// on, and has passed its self-tests and ours; or everything is refused and a
// program that is told so does not start. GODEBUG=fips140=on alone gives the
// module of the Go release, which nobody has validated: it is not enough. Build
// with GOFIPS140=v1.0.0, as `make fips` does.
//
// The mode is for the whole process and for its whole life. It is decided when
// cryptography is first used at the latest; a [Require] after that fails, for
// keys may be with the kernels already.
//
// Coffer itself has not been validated, and using a validated module is not the
// same as compliance: SECURITY.md, "FIPS mode", says what is claimed and what is not.
//
// What it is not: it does no encryption, and it does not stop other code in the
// process from using what it refuses.
//
// Everything is safe for concurrent use.
package fips
