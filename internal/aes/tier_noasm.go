//go:build purego || !amd64

package aes

func detected() []Tier { return nil }
