//go:build race

package element

// raceEnabled: the race detector makes sync.Pool drop items at random.
const raceEnabled = true
