package sipproxy

import (
	"strings"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// readNumber reads a telephone-subscriber (RFC 3966 section 3): a global
// number, or a local one completed by its phone-context or by the trunk's
// country. Visual separators are dropped.
func readNumber(s string, params []byte, plan *policy.Plan) (policy.Number, bool) {
	if n, err := policy.ParseNumber(s); err == nil {
		return n, true // the common form, without a copy
	}
	digits, ok := dropSeparators(s)
	if !ok {
		return policy.Number{}, false
	}
	if strings.HasPrefix(digits, "+") {
		n, err := policy.ParseNumber(digits)
		return n, err == nil
	}
	if context, found := message.Param(params, "phone-context"); found && len(context) > 1 && context[0] == '+' {
		// A national number in the context of its country code; the trunk
		// prefix is not part of it, but is often written.
		if plan != nil && string(context[1:]) == plan.Code {
			digits = strings.TrimPrefix(digits, plan.Trunk)
		}
		return policy.NumberOfDigits(string(context[1:]) + digits)
	}
	if plan == nil {
		return policy.Number{}, false
	}
	return plan.National(digits)
}

// dropSeparators removes the visual separators of RFC 3966 and blanks. Any
// other character than digits and a leading plus makes it no number.
func dropSeparators(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '+' && b.Len() == 0:
			b.WriteByte(c)
		case c == '-' || c == '.' || c == '(' || c == ')' || c == ' ':
		default:
			return "", false
		}
	}
	return b.String(), b.Len() > 0
}

// digitsIn is the longest run in a text that reads like a telephone number of
// at least seven digits, "" when there is none.
func digitsIn(s string) string {
	best, bestDigits := "", 0
	for i := 0; i < len(s); {
		j, n := i, 0
		for j < len(s) && (s[j] >= '0' && s[j] <= '9' || strings.IndexByte("+-.() ", s[j]) >= 0) {
			if s[j] >= '0' && s[j] <= '9' {
				n++
			}
			j++
		}
		if n >= 7 && n > bestDigits {
			best, bestDigits = s[i:j], n
		}
		i = max(j, i+1)
	}
	return strings.TrimSpace(best)
}
