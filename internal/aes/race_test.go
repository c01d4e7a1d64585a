//go:build race

package aes

// raceEnabled: the race detector makes sync.Pool drop items at random, so that the portable tier allocates.
const raceEnabled = true
