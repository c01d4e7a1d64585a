// Package secmem holds secrets in memory that the system keeps out of swap
// and out of core dumps.
//
// A [Buffer] lies in an arena of pages outside Go's heap: locked with mlock,
// left out of core dumps with MADV_DONTDUMP, zeroed in a forked child with
// MADV_WIPEONFORK, with an inaccessible page before and behind each chunk of
// the arena. Many keys share a page, since locked memory is scarce (often
// 8 MiB, or 64 KiB, for a user's process). The garbage collector never moves
// or copies it. Release wipes it.
//
// Where the system refuses, or on systems other than Linux, the memory is
// ordinary, it is still wiped, and [StatusNow] tells what is missing and why.
//
// It is no protection against somebody who can read the memory of the running
// process, nor against suspend-to-disk of the whole machine; copies that a
// caller or Go's cryptographic library makes are outside it.
//
// Everything here is safe for concurrent use, except that the bytes of a
// Buffer belong to its users: who writes them while others read must
// synchronise, and nobody may use them once Release has been called.
package secmem
