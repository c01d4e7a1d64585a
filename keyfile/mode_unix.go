//go:build unix

package keyfile

// ownerOnlyModes: permission bits say who may read a file.
const ownerOnlyModes = true
