package console

import (
	"net/http"
	"slices"
	"strings"
	"unicode"

	"dialgate/console/access"
	"dialgate/policy"
)

// maskNumber masks a number in international form.
func maskNumber(s string) string {
	if n, err := policy.ParseNumber(s); err == nil {
		return n.String()
	}
	return maskText(s)
}

// maskText masks every run of digits in a text that could be a number: all but
// the first two and the last two of six and more.
func maskText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end++
		}
		switch n := end - i; {
		case n == 0:
			b.WriteByte(s[i])
			i++
		case n < 6:
			b.WriteString(s[i:end])
			i = end
		default:
			b.WriteString(s[i : i+2])
			b.WriteString(strings.Repeat("*", n-4))
			b.WriteString(s[end-2 : end])
			i = end
		}
	}
	return b.String()
}

// mask masks the numbers of a call, and whatever may hold one.
func (c *Call) mask() {
	c.Masked, c.Invite = true, ""
	for _, number := range []*string{&c.From, &c.To} {
		if *number != "" {
			*number = maskNumber(*number)
		}
	}
	for _, text := range []*string{&c.FromText, &c.ToText, &c.Malformed, &c.CallID, &c.Named} {
		*text = maskText(*text)
	}
	for i := range c.Marks {
		c.Marks[i] = maskText(c.Marks[i])
	}
	for i := range c.Findings { // whoever gave a fact its id may have made it of the number
		for j := range c.Findings[i].Facts {
			c.Findings[i].Facts[j] = maskText(c.Findings[i].Facts[j])
		}
	}
}

// clean takes out of what a dialer wrote what could move a cursor, turn text
// round or fill a page.
func (c *Call) clean() {
	c.Marks, c.Offers = slices.Clone(c.Marks), slices.Clone(c.Offers)
	c.Invite = cleanMessage(c.Invite)
	c.Findings = slices.Clone(c.Findings)
	for i := range c.Findings {
		c.Findings[i].Facts = slices.Clone(c.Findings[i].Facts)
	}
	for _, text := range []*string{&c.FromText, &c.ToText, &c.Malformed, &c.CallID, &c.Named, &c.Hides} {
		*text = cleanText(*text)
	}
	lists := [][]string{c.Marks, c.Offers}
	for i := range c.Findings {
		lists = append(lists, c.Findings[i].Facts)
	}
	for _, list := range lists {
		for i := range list {
			list[i] = cleanText(list[i])
		}
	}
}

// cleanMessage is a SIP message as lines that can be shown.
func cleanMessage(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if r == '\t' {
				return ' '
			}
			if !unicode.IsPrint(r) {
				return unicode.ReplacementChar
			}
			return r
		}, line)
	}
	return strings.Join(lines, "\n")
}

const maxShown = 300 // characters of one text

func cleanText(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxShown {
			return b.String() + "…"
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return b.String()
}

// show is a call as somebody may see it. One advertiser learns nothing of
// another: not what a rule found of somebody else's facts, nor the reason that
// tells of them.
func show(c Call, who *access.Principal, full bool) Call {
	c.clean()
	if who.Advertiser != "" {
		c.Findings = nil
		c.Reason, c.Would = policy.Told(c.Reason, c.Mode), policy.Told(c.Would, c.Mode)
	}
	if reason, ok := policy.ParseReason(c.Reason); ok {
		c.Means = reason.Text()
	}
	if !full {
		c.mask()
	}
	return c
}

// looksAt records that somebody looks at a number in full, before they do. A
// look that can't be recorded is not had.
func (s *Server) looksAt(who *access.Principal, what string, n policy.Number, count int) error {
	if err := s.o.Node.LookedUp(LookUp{By: who.Name, Token: who.Token, Role: string(who.Role), What: what, Number: n, Count: count}); err != nil {
		s.o.Log.Error("a look at a number could not be recorded, so it was refused", "error", err)
		return problem(http.StatusServiceUnavailable, "a look at a number is recorded first, and the ledger does not take it at the moment")
	}
	return nil
}
