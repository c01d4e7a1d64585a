//go:build purego || asan || boringcrypto

package fips

// otherBuild names what in this build leaves the module out.
const otherBuild = "the tag purego or boringcrypto, or the address sanitizer,"
