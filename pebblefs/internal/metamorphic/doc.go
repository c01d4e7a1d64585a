// Package metamorphic runs Pebble's metamorphic test, with its simulated crashes, over pebblefs: random operations on databases with
// random options, whose results must be the same whatever the options.
//
// The test imports internal packages of Pebble. So the tree of Pebble's module is copied to a temporary folder, a file and one
// line are added that put pebblefs between Pebble and every file system the test uses, also after each crash, and the test is
// built there, with Pebble's own checks of invariants. This module is nested because it downloads what only Pebble's tests need.
//
// The environment says how much: COFFER_META_SEEDS (1) runs with seeds from COFFER_META_SEED (the clock) on, of COFFER_META_OPS
// (uniform:500-1000) operations. `make pebble-meta` runs many.
package metamorphic
