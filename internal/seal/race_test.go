//go:build race

package seal

// raceEnabled: the race detector makes sync.Pool drop items at random.
const raceEnabled = true
