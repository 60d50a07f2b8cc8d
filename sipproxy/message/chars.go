package message

// Classes of octets, by the grammar of RFC 3261 section 25.1.
const (
	tokenClass  = 1 << iota // token
	spaceClass              // SP, HT, CR, LF: what LWS is made of
	hostClass               // a host name, or an IPv4 address
	userClass               // the user part of a sip URI, and "#", which dialers send unescaped in #31#
	schemeClass             // a URI's scheme
	delimClass              // not in a URI: white space, controls, <, >, "
	valueClass              // an unquoted parameter value, wider than the grammar: all but delimiters, ";" and ","
	textClass               // visible ASCII
	listClass               // means something to a list of values: quote, bracket, comma
)

var classes = func() (t [256]uint16) {
	for c := range t {
		b := byte(c)
		alnum := b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		set := func(class uint16, members string) {
			in := false
			for i := range len(members) {
				in = in || members[i] == b
			}
			if in {
				t[c] |= class
			}
		}
		if alnum {
			t[c] |= tokenClass | hostClass | userClass | schemeClass
		}
		set(tokenClass, "-.!%*_+`'~")
		set(hostClass, ".-_")
		set(userClass, "-_.!~*'()&=+$,;?/%#")
		set(schemeClass, "+-.")
		set(spaceClass, " \t\r\n")
		set(listClass, "\"<>,")
		if b > ' ' && b < 0x7f {
			t[c] |= textClass
		}
		if b <= ' ' || b == 0x7f || b == '<' || b == '>' || b == '"' {
			t[c] |= delimClass
		} else if b != ';' && b != ',' {
			t[c] |= valueClass
		}
	}
	return t
}()

// isToken reports whether c may stand in a token.
func isToken(c byte) bool { return classes[c]&tokenClass != 0 }

func isSpace(c byte) bool { return classes[c]&spaceClass != 0 }

// isAll reports whether a text is not empty and all its octets are of a class.
func isAll(b []byte, class uint16) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return len(b) > 0
}

// hasAny reports whether an octet of a class stands in a text.
func hasAny(b []byte, class uint16) bool {
	for _, c := range b {
		if classes[c]&class != 0 {
			return true
		}
	}
	return false
}

// trim removes white space, folds included, from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// EqualFold reports whether two texts are equal when ASCII case is ignored.
func EqualFold[S, T string | []byte](a S, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// number reads decimal digits up to a greatest value.
func number(b []byte, most uint64) (uint64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		if n = n*10 + uint64(d); n > most {
			return 0, false
		}
	}
	return n, true
}
