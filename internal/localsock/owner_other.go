//go:build !unix

package localsock

// Owner returns the user that a file belongs to; here that is not known.
func Owner(string) (uid int, ok bool) { return 0, false }
