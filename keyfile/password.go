package keyfile

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// MaxPassword is the longest password, in bytes.
	MaxPassword = 1024
	// AdvisedPassword is the length below which [CheckPassword] warns, in bytes.
	AdvisedPassword = 12
	fewDistinct     = 6 // distinct characters below which a password counts as repetitive
)

// Policy says what is asked of a new password. The zero value asks only that it
// is one: printable ASCII, 1 to [MaxPassword] bytes.
type Policy struct {
	// Insist refuses, with [ErrWeakPassword], every password that [CheckPassword] warns about.
	Insist bool
}

// CheckPassword measures a password against the manual's advice (row F9): a
// random mix of cases, digits and punctuation, 12 characters or more. It
// returns a sentence for each thing missing, none for a password that follows
// it. No sentence repeats any of the password. That a password is random cannot
// be measured.
func CheckPassword(password []byte) (warnings []string) {
	if len(password) < AdvisedPassword {
		warnings = append(warnings, fmt.Sprintf("shorter than %d characters", AdvisedPassword))
	}
	for _, class := range []struct {
		name string
		in   func(b byte) bool
	}{
		{"lower-case letter", func(b byte) bool { return b >= 'a' && b <= 'z' }},
		{"upper-case letter", func(b byte) bool { return b >= 'A' && b <= 'Z' }},
		{"digit", func(b byte) bool { return b >= '0' && b <= '9' }},
		{"punctuation", isPunctuation},
	} {
		if !containsByte(password, class.in) {
			warnings = append(warnings, "no "+class.name)
		}
	}
	if len(password) >= AdvisedPassword && distinct(password) < fewDistinct {
		warnings = append(warnings, fmt.Sprintf("fewer than %d different characters", fewDistinct))
	}
	return warnings
}

func isPunctuation(b byte) bool {
	return bytes.IndexByte([]byte(" !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), b) >= 0
}

func containsByte(s []byte, in func(byte) bool) bool {
	for _, b := range s {
		if in(b) {
			return true
		}
	}
	return false
}

func distinct(s []byte) int {
	var seen [256]bool
	n := 0
	for _, b := range s {
		if !seen[b] {
			seen[b] = true
			n++
		}
	}
	return n
}

// check refuses what cannot be a new password, or is weaker than the policy allows.
func (p Policy) check(password []byte) error {
	switch {
	case len(password) == 0:
		return usage("a password is needed")
	case len(password) > MaxPassword:
		return usage("a password has at most %d bytes", MaxPassword)
	case !isASCII(password):
		return usage("a password consists of printable ASCII characters")
	}
	if w := CheckPassword(password); p.Insist && len(w) > 0 {
		return fmt.Errorf("%w: %s", ErrWeakPassword, strings.Join(w, ", "))
	}
	return nil
}
