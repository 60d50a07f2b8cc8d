package sipproxy

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// TestEveryMarkHasItsGolden: a word that is added to a table of what hides a
// caller is shown at work in a golden INVITE.
func TestEveryMarkHasItsGolden(t *testing.T) {
	users, names, hosts := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, raw := range goldenInvites(t) {
		var v message.View
		if v.Parse(raw) != nil {
			continue
		}
		a, _ := message.ParseAddress(v.Value(message.From))
		u, _ := message.ParseURI(a.URI)
		user, _ := subscriber(&u, message.Unescape(u.User))
		users[string(plain(bytes.TrimPrefix(user, []byte("+"))))] = true
		names[string(plain(a.DisplayName()))] = true
		hosts[strings.ToLower(string(u.Host))] = true
	}
	for what, table := range map[string][2]map[string]bool{
		"user": {hidingWords, users}, "name": {hidingNames, names}, "keypad": {keypadWords, users},
	} {
		for _, word := range slices.Sorted(maps.Keys(table[0])) {
			if !table[1][word] {
				t.Errorf("no golden INVITE holds the %s %q", what, word)
			}
		}
	}
	for word := range unsetNames {
		if !users[word] && !names[word] {
			t.Errorf("no golden INVITE holds %q, which nobody set", word)
		}
	}
	for _, host := range hidingHosts {
		if !hosts[host] {
			t.Errorf("no golden INVITE holds the host %q", host)
		}
	}
}

// disguise writes a word as somebody would who wants it read by people only.
func disguise(t *rapid.T, word string) string {
	unseen := rapid.SampledFrom([]string{"", "", "", "\u200b", "\u00ad", "\u200d", "\ufeff", "\u0301", "\x01"})
	blank := rapid.SampledFrom([]string{" ", "  ", "\t", "_", "-", "\u00a0", "\u2003", "\u3000", "\u2014"})
	var b strings.Builder
	b.WriteString(rapid.SampledFrom([]string{"", " ", "'", "\u201c", "\u00a0\u00a0", "--- (", "*"}).Draw(t, "before"))
	for _, c := range word {
		switch how := rapid.IntRange(0, 4).Draw(t, "how"); {
		case c == ' ':
			b.WriteString(blank.Draw(t, "blank"))
		case how == 0:
			b.WriteRune(unicode.ToUpper(c))
		case how == 1:
			b.WriteRune(c - '!' + 0xff01) // fullwidth
		case how == 2:
			b.WriteRune(0x1d400 + c - 'a') // mathematical, bold
		case how == 3:
			if i := slices.Index(lookalikesOf[byte(c)], rapid.SampledFrom(append([]rune{c}, lookalikesOf[byte(c)]...)).Draw(t, "alike")); i >= 0 {
				b.WriteRune(lookalikesOf[byte(c)][i])
				break
			}
			b.WriteRune(c)
		default:
			b.WriteRune(c)
		}
		b.WriteString(unseen.Draw(t, "unseen"))
	}
	b.WriteString(rapid.SampledFrom([]string{"", " ", "'", "\u201d", "\u00a0"}).Draw(t, "behind"))
	return b.String()
}

var lookalikesOf = func() map[byte][]rune {
	m := map[byte][]rune{}
	for r, c := range plainForms {
		m[c] = append(m[c], r)
	}
	for _, alike := range m {
		slices.Sort(alike)
	}
	return m
}()

// TestNoDisguiseHelps: a hiding name hides however it is written, and never
// when a letter is added to it.
func TestNoDisguiseHelps(t *testing.T) {
	words := slices.Sorted(maps.Keys(hidingNames))
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words).Draw(t, "word")
		written := disguise(t, word)
		if !among(hidingNames, []byte(written)) {
			t.Fatalf("%q is not read as %q", written, word)
		}
		if longer := disguise(t, word+"q"); among(hidingNames, []byte(longer)) {
			t.Fatalf("%q is read as a hiding name", longer)
		}
	})
}

// TestOldEncodings: what is not UTF-8 is read as ISO 8859-1.
func TestOldEncodings(t *testing.T) {
	for _, written := range []string{"Priv\xe9nummer", "Geen\xa0nummerweergave", "Num\xe9ro masqu\xe9"} {
		if !among(hidingNames, []byte(written)) {
			t.Errorf("%q hides nobody", written)
		}
	}
}

// spell writes the number +31205550100 as a user agent may.
func spell(t *rapid.T) string {
	separate := func(digits string) string {
		var b strings.Builder
		for i, c := range digits {
			if i > 1 {
				b.WriteString(rapid.SampledFrom([]string{"", "", "", "-", ".", "%20", "(", ")"}).Draw(t, "separator"))
			}
			if rapid.IntRange(0, 5).Draw(t, "escape") == 0 {
				b.WriteString("%" + string("0123456789abcdef"[byte(c)>>4]) + string("0123456789ABCDEF"[byte(c)&15]))
			} else {
				b.WriteRune(c)
			}
		}
		return b.String()
	}
	form := rapid.SampledFrom([]string{"+31205550100", "0205550100", "0031205550100", "0205550100;phone-context=+31", "205550100;phone-context=+31", "5550100;phone-context=+3120"}).Draw(t, "form")
	number, params, _ := strings.Cut(form, ";")
	number = separate(number)
	if params != "" {
		number += ";" + params
	}
	number += rapid.SampledFrom([]string{"", ";ext=5", ";verstat=x", ";isub=1"}).Draw(t, "parameter")
	if rapid.Bool().Draw(t, "tel") {
		return rapid.SampledFrom([]string{"tel:", "TEL:"}).Draw(t, "scheme") + number
	}
	return rapid.SampledFrom([]string{"sip:", "SIP:", "sips:"}).Draw(t, "scheme") + number +
		rapid.SampledFrom([]string{"@h", "@192.0.2.1:5060", "@[2001:db8::1]"}).Draw(t, "host") +
		rapid.SampledFrom([]string{"", ";user=phone", ";transport=udp;lr"}).Draw(t, "uri parameter")
}

// TestEverySpellingIsOneNumber: however a number is spelled, it is that number
// and nothing hides it.
func TestEverySpellingIsOneNumber(t *testing.T) {
	r := goldenReader(t)
	peer := goldenPeer(t, r, "")
	want := policy.MustNumber("+31205550100")
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom([]string{"<%s>", `"A, B" <%s>`, "Wind Kracht <%s>", `"\"" <%s>`, "\t<%s>"}).Draw(t, "from")
		value := strings.Replace(from, "%s", spell(t), 1)
		id := r.identity([]byte(value), peer)
		if id.number != want || id.hidden != "" {
			t.Fatalf("%s is read as %s, %q, hidden by %q", value, id.number.E164(), id.text, id.hidden)
		}
	})
}
