package sipproxy

import (
	"bytes"
	"strings"
)

// The tables of what hides a caller. RFC 5079 section 3 names the first of
// each; the others are what equipment and carriers were seen to send. They are
// data, since only a list catches a word spelled on the keypad.

// hidingHosts stand for nobody (RFC 3323 section 4.1.1.3).
var hidingHosts = []string{"anonymous.invalid", "unknown.invalid", "unavailable.invalid", "restricted.invalid"}

// hidingWords stand for nobody in the user part of an address.
var hidingWords = map[string]bool{
	"anonymous": true, "restricted": true, "private": true, "unavailable": true, "unknown": true, "withheld": true, "blocked": true,
	"none": true, "null": true,
	"anoniem": true, "onbekend": true, "afgeschermd": true, "geheim": true, "prive": true, "privé": true,
	"anonym": true, "unbekannt": true,
	"anonyme": true, "inconnu": true,
}

// hidingNames stand for nobody as a whole display name. A name that only
// contains one, such as "Anonymous Media BV", is a name.
var hidingNames = map[string]bool{
	"anonymous": true, "restricted": true, "private": true, "unavailable": true, "unknown": true, "withheld": true,
	"private number": true, "unknown number": true, "unknown caller": true, "blocked": true, "no caller id": true,
	"anoniem": true, "onbekend": true, "afgeschermd": true, "privénummer": true, "privenummer": true, "geheim nummer": true,
	"geen nummerweergave": true, "anonym": true, "unbekannt": true, "anonyme": true, "inconnu": true,
}

// keypadWords are hiding words spelled on a telephone's keypad: ANONYMOUS,
// RESTRICTED, UNAVAILABLE, UNKNOWN, BLOCKED. They pass for numbers.
var keypadWords = map[string]bool{
	"266696687": true, "7378742833": true, "86282452253": true, "8656696": true, "2562533": true,
}

func hidingHost(host []byte) bool {
	if len(host) < len("x.invalid") || !strings.EqualFold(string(host[len(host)-8:]), ".invalid") {
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

func hidingWord(s string) bool { return hidingWords[strings.ToLower(strings.TrimSpace(s))] }

func hidingName(s string) bool {
	return s != "" && hidingNames[strings.ToLower(strings.Join(strings.Fields(s), " "))]
}

// hidingDigits reports whether digits stand for a hidden number: one digit
// repeated, counting up from 1, or a word on the keypad.
func hidingDigits(s string) bool {
	s = strings.TrimPrefix(s, "+")
	if keypadWords[s] {
		return true
	}
	if len(s) < 6 {
		return false
	}
	same, rising := true, s[0] == '1'
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		same = same && s[i] == s[0]
		rising = rising && s[i] == byte('0'+(i+1)%10)
	}
	return same || rising
}

// spelled reports whether a number in international form stands for a hidden one.
func spelled(user []byte) bool {
	user = bytes.TrimPrefix(user, []byte("+"))
	return keypadWords[string(user)] || len(user) > 1 && (user[0] == user[1] || user[0] == '1') && hidingDigits(string(user))
}
