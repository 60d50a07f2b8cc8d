package sipproxy

import (
	"bytes"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// subscriber splits the user part of a URI into the telephone-subscriber that
// it is (RFC 3966 section 3) and the parameters of the number. In a tel URI
// these are the URI's own, in a sip URI they stand in the user part (RFC 3261
// section 19.1.6). user is unescaped.
func subscriber(u *message.URI, user []byte) (number, params []byte) {
	if u.Scheme == message.Tel {
		return user, u.Params
	}
	if semi := bytes.IndexByte(user, ';'); semi >= 0 {
		return user[:semi], user[semi:]
	}
	return user, nil
}

// readNumber reads a telephone-subscriber: a global number, or a local one
// completed by its phone-context or by the trunk's country. Visual separators
// are dropped.
func readNumber(b, params []byte, plan *policy.Plan) (policy.Number, bool) {
	if len(b) > 0 && b[0] == '+' {
		if n, ok := policy.NumberOfDigits(b[1:]); ok {
			return n, true // the common form
		}
	}
	digits, ok := dropSeparators(b)
	if !ok {
		return policy.Number{}, false
	}
	if digits[0] == '+' {
		return policy.NumberOfDigits(digits[1:])
	}
	context, ok := phoneContext(params)
	if !ok {
		return policy.Number{}, false
	}
	if len(context) > 1 && context[0] == '+' {
		return inContext(digits, context[1:], plan)
	}
	if plan == nil {
		return policy.Number{}, false
	}
	return plan.National(string(digits))
}

// phoneContext finds the context of a local number (RFC 3966 section 5.1.5),
// empty when there is none. ok is false when the parameters are malformed or
// hold two of them: others could read another number there.
func phoneContext(params []byte) (context []byte, ok bool) {
	found := 0
	ok = message.EachParam(params, func(name, value []byte) {
		if message.EqualFold(name, "phone-context") {
			context = value
			found++
		}
	})
	return context, ok && found < 2
}

// inContext reads a local number in the context of the digits of a global
// one, nearly always a country code (RFC 3966 section 5.1.5). The trunk prefix
// does not belong there, but is often written.
func inContext(digits, context []byte, plan *policy.Plan) (policy.Number, bool) {
	if plan != nil && string(context) == plan.Code {
		if n, ok := plan.National(string(digits)); ok {
			return n, true
		}
	}
	context, ok := dropSeparators(context)
	if !ok {
		return policy.Number{}, false
	}
	return policy.NumberOfDigits(append(bytes.Clone(context), digits...))
}

// dropSeparators removes the visual separators of RFC 3966 and blanks. Any
// other character than digits and a leading plus makes it no number. It
// returns b itself when there are none.
func dropSeparators(b []byte) (digits []byte, ok bool) {
	clean := true
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9', c == '+' && i == 0:
		case c == '-' || c == '.' || c == '(' || c == ')' || c == ' ':
			clean = false
		default:
			return nil, false
		}
	}
	if clean {
		return b, len(b) > 0
	}
	digits = make([]byte, 0, len(b))
	for _, c := range b {
		if c >= '0' && c <= '9' || c == '+' {
			digits = append(digits, c)
		}
	}
	return digits, len(digits) > 0
}

// fewestShown is how many digits read like a telephone number.
const fewestShown = 7

// eachNumberIn calls f with everything in a text that reads like a telephone
// number. Whatever stands between digits, but for letters, may separate them.
func eachNumberIn(b []byte, f func(run []byte)) {
	for i := 0; i < len(b); i++ {
		if b[i] != '+' && !isDigit(b[i]) {
			continue
		}
		from, n := i, 0
		for i < len(b) && (isDigit(b[i]) || isSeparator(b[i])) {
			if isDigit(b[i]) {
				n++
			}
			i++
		}
		if n < fewestShown {
			continue
		}
		f(b[from:i])
	}
}

// digitsOf are the digits of a run, with a leading plus if there is one.
func digitsOf(run []byte) []byte {
	if len(run) > 0 && run[0] == '+' {
		// The national prefix is often shown beside the country code: +31 (0)20.
		run = bytes.ReplaceAll(run, []byte("(0)"), nil)
	}
	digits := make([]byte, 0, len(run))
	for i, c := range run {
		if isDigit(c) || c == '+' && i == 0 {
			digits = append(digits, c)
		}
	}
	return digits
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isSeparator reports whether an octet is a blank or a sign.
func isSeparator(c byte) bool {
	return c < 0x80 && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z')
}
