// Package layers holds the repository's rules as tests: which way imports point, who may touch the file system, how
// long files grow, what every package and page must have. It has no code of its own and nobody imports it.
//
// A rule that turns out to be wrong is changed here, with its reason, and in DESIGN.md.
package layers
