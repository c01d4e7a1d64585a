// Package bench measures Coffer beside what there is elsewhere. [Kernels]
// compares AES, operation by operation, with the limit of the processor, Go's
// library, golang.org/x/crypto/xts and OpenSSL.
//
// Figures are throughput in GB/s (10^9 bytes a second) of one core, and shares
// of the limit: what a loop of independent AES rounds on registers does on the
// same core in the same run. Machines differ, and a machine differs from itself
// a minute later; shares within a run are what can be compared.
//
// It is for the command and for tests, and nobody's library. Nothing here may be
// used by two goroutines at once.
package bench
