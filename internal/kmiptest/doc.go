// Package kmiptest is for tests: certificates of a CA of their own, and a real
// PyKMIP server on loopback.
package kmiptest
