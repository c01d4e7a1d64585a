// Package crashtest runs random programs on a volume in a file system that
// loses power, and checks at every cut that what was acknowledged is there
// whole and nothing else is.
//
// A program is random: updates, lazy commits, growth, truncation, holes,
// checkpoints, journal switches and key changes, conversions between all
// suites, clean and unclean ends. Before every operation that changes the disk,
// a picture of what a machine would find after a power cut at that instant is
// taken and opened in all the ways a volume can be opened, some of them cut
// again during recovery. What is found must equal the model after some commit
// at or after the last acknowledged one, and verify clean.
//
// Everything derives from a seed; goroutines of the engine are the only source
// of variation between two runs of it.
package crashtest
