// Package nbdclient is a client of the NBD protocol for tests and benchmarks. It
// was written from the protocol's page alone and shares no code with package nbd,
// so that each is a judge of the other. It takes any number of requests at a time.
package nbdclient
