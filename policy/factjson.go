package policy

import "encoding/json"

// A million facts are written and read back in an import and in a rebuild, so
// the form that AppendJSON gives nearly all of them is done by hand. Whatever
// is not plain goes through package json, which decides what is right.

// isPlain reports whether a text stands in JSON as it is. Package json writes
// <, > and & as escapes.
func isPlain(c byte) bool {
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// appendTexts appends a list that is not empty.
func appendTexts[T any](b []byte, list []T, text func(T) string) []byte {
	for i, v := range list {
		if i == 0 {
			b = append(b, '[')
		} else {
			b = append(b, ',')
		}
		b = appendPlainText(b, text(v))
	}
	if len(list) > 0 {
		b = append(b, ']')
	}
	return b
}

func appendPlainText(b []byte, s string) []byte {
	for i := range len(s) {
		if !isPlain(s[i]) {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string has a JSON form
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain reads an object of plain texts, lists of them and booleans, without
// white space. It reports false when the data are anything else.
func (r *factReader) plain(data []byte) bool {
	p := plainReader{s: string(data)}
	return p.object(r, "") && p.s == ""
}

// A plainReader takes plain JSON apart; texts are parts of s.
type plainReader struct{ s string }

func (p *plainReader) next(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

func (p *plainReader) word(w string) bool {
	if len(p.s) < len(w) || p.s[:len(w)] != w {
		return false
	}
	p.s = p.s[len(w):]
	return true
}

func (p *plainReader) text() (string, bool) {
	if !p.next('"') {
		return "", false
	}
	for i := range len(p.s) {
		if p.s[i] == '"' {
			t := p.s[:i]
			p.s = p.s[i+1:]
			return t, true
		}
		if !isPlain(p.s[i]) {
			break
		}
	}
	return "", false
}

func (p *plainReader) object(r *factReader, prefix string) bool {
	if !p.next('{') {
		return false
	}
	for {
		name, ok := p.text()
		if !ok || !p.next(':') {
			return false
		}
		if prefix != "" {
			name = prefix + name
		}
		if name == "evidence" {
			ok = p.object(r, "evidence.")
		} else {
			ok = p.value(r, name)
		}
		if !ok {
			return false
		}
		if p.next('}') {
			return true
		}
		if !p.next(',') {
			return false
		}
	}
}

func (p *plainReader) value(r *factReader, name string) bool {
	switch {
	case p.word("true"):
		r.give(name, true)
		return true
	case p.word("false"):
		r.give(name, false)
		return true
	case p.next('['):
		list, ok := p.list()
		if ok {
			r.give(name, list)
		}
		return ok
	}
	t, ok := p.text()
	if !ok {
		return false
	}
	if f := findFactField(name); f != nil {
		r.giveText(f, t)
	} else {
		r.unknown(name)
	}
	return true
}

// list reads the rest of a list that is not empty.
func (p *plainReader) list() (list []any, ok bool) {
	for {
		t, ok := p.text()
		if !ok {
			return nil, false
		}
		list = append(list, t)
		if p.next(']') {
			return list, true
		}
		if !p.next(',') {
			return nil, false
		}
	}
}
