// Package splice changes single values of CSV and JSON Lines on the way from a
// reader to a writer. Every byte outside those values stays as it was: quotes,
// white space, order, line ends. Memory is bounded by the longest record.
package splice
