package sipproxy

import (
	"bytes"
	"strings"
)

// The tables of what hides a caller. RFC 5079 section 3 names the first of
// each; the others are what equipment and carriers were seen to send. They are
// data, since only a list catches a word spelled on the keypad.

// hidingHosts stand for nobody (RFC 3323 section 4.1.1.3).
var hidingHosts = [...]string{"anonymous.invalid", "unknown.invalid", "unavailable.invalid", "restricted.invalid"}

// hidingWords stand for nobody in the user part of an address.
var hidingWords = set("anonymous restricted private unavailable unknown withheld blocked none null " +
	"anoniem onbekend afgeschermd geheim prive " +
	"anonym unbekannt " +
	"anonyme inconnu")

// hidingNames stand for nobody as a whole display name. A name that only
// contains one, such as "Anonymous Media BV", is a name.
var hidingNames = set("anonymous restricted private unavailable unknown withheld blocked " +
	"private_number private_caller unknown_number unknown_caller no_caller_id withheld_number " +
	"anoniem onbekend afgeschermd privenummer prive_nummer onbekend_nummer geheim_nummer geen_nummerweergave " +
	"anonym unbekannt unterdruckt " +
	"anonyme inconnu masque numero_masque")

// unsetNames are the display names of equipment in which nobody set one.
var unsetNames = set("asterisk asterisk_pbx s dialer vicidial freeswitch")

// keypadWords are hiding words spelled on a telephone's keypad: ANONYMOUS,
// RESTRICTED, UNAVAILABLE, UNKNOWN, BLOCKED. They pass for numbers.
var keypadWords = set("266696687 7378742833 86282452253 8656696 2562533")

// set makes a set of words between blanks, as plain writes them; an underscore stands for a blank.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[strings.ReplaceAll(w, "_", " ")] = true
	}
	return m
}

// hidingHost reports whether a host stands for nobody, or lies below one that does.
func hidingHost(host []byte) bool {
	host = bytes.TrimRight(host, ".")
	const tld = ".invalid"
	if len(host) < len(tld) || !strings.EqualFold(string(host[len(host)-len(tld):]), tld) {
		return false
	}
	h := strings.ToLower(string(host))
	for _, hiding := range hidingHosts {
		if h == hiding || strings.HasSuffix(h, "."+hiding) {
			return true
		}
	}
	return false
}

// among reports whether a text is in a set, as a person reads it: whatever its
// case and its accents, and whatever blanks and signs stand around its words.
func among(words map[string]bool, b []byte) bool {
	if !isPlain(b) {
		b = plain(b)
	}
	const longest = 32 // longer than every word of every set
	var folded [longest]byte
	n := 0
	for _, c := range b {
		switch {
		case isSeparator(c):
			if c = ' '; n == 0 || folded[n-1] == ' ' {
				continue
			}
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		if n == longest {
			return false
		}
		folded[n] = c
		n++
	}
	if n > 0 && folded[n-1] == ' ' {
		n--
	}
	return words[string(folded[:n])]
}

// hidingDigits reports whether digits stand for a hidden number: one digit
// repeated, counting up from 1, or a word on the keypad. A plus sign before
// them, or the prefix of an international call, changes nothing. Fewer than 6
// digits or more than 15 are no number at all.
func hidingDigits(b []byte) bool {
	if len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) < 6 || len(b) > 15+len("00") {
		return false
	}
	same, rising := true, b[0] == '1'
	for i, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		same = same && c == b[0]
		rising = rising && c == byte('0'+(i+1)%10)
	}
	if len(b) <= 15 && (same || rising || keypadWords[string(b)]) {
		return true
	}
	return b[0] == '0' && b[1] == '0' && b[2] != '0' && hidingDigits(b[2:])
}
