//go:build !unix

package keyfile

// ownerOnlyModes: permission bits say nothing about who may read a file.
const ownerOnlyModes = false
