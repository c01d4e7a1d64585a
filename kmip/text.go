package kmip

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a server says about a key, in bytes and numbers.
const (
	maxID         = 1024 // bytes of an identifier
	shownName     = 255  // bytes of a name, or of the vendor's
	maxNames      = 16   // names of a key; the rest is left out
	maxShownHosts = 8    // names in a certificate
)

// notPrinted is true of characters that move the cursor or turn the direction
// of writing, so that a server's text could show as something it is not.
func notPrinted(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// checkServerID refuses a server's identifier of a key that cannot be shown and
// typed: it names the key everywhere, on terminals and in scripts.
func checkServerID(id string) error {
	switch {
	case id == "":
		return errors.New("it names no key")
	case len(id) > maxID || strings.ContainsFunc(id, notPrinted):
		return errors.New("it names a key by what is no printable text, or too long")
	}
	return nil
}

// shown makes a server's text fit for a terminal: at most that many bytes, and nothing but what prints.
func shown(text string, most int) string {
	cut := len(text) > most
	if cut {
		text = strings.ToValidUTF8(text[:most], "")
	}
	text = strings.Map(func(r rune) rune {
		if notPrinted(r) {
			return '?'
		}
		return r
	}, text)
	if cut {
		text += "…"
	}
	return text
}

// shownAll is shown for a list, which is cut as well.
func shownAll(texts []string, most int) []string {
	if len(texts) > most {
		texts = texts[:most]
	}
	for i := range texts {
		texts[i] = shown(texts[i], shownName)
	}
	return texts
}

// secrets are what was sent and must not come back in a log or an error, in the
// forms in which a server may repeat it.
type secrets []string

// shortestSecret is what is looked for at least: shorter ones are in every text.
const shortestSecret = 4

func (s secrets) with(secret string) secrets {
	quoted := strconv.QuoteToASCII(secret)
	for _, form := range []string{secret, quoted[1 : len(quoted)-1], hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
		if len(form) >= shortestSecret {
			s = append(s, strings.ToLower(form))
		}
	}
	return s
}

// withheld stands for a text that repeats a secret.
const withheld = "(withheld: it repeats what was sent)"

// hide returns text, or what stands for it.
func (s secrets) hide(text string) string {
	lower := strings.ToLower(text)
	for _, form := range s {
		if strings.Contains(lower, form) {
			return withheld
		}
	}
	return text
}
