//go:build !purego && !asan && !boringcrypto

package fips

// otherBuild names what in this build leaves the module out; nothing.
const otherBuild = ""
