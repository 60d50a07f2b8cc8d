package sipproxy

import (
	"unicode"
	"unicode/utf8"
)

// lookalikes are letters of other scripts, and forms of our own, beside the
// plain one that a person takes them for: in pairs. Only what the hiding words
// are made of, and figures, is here.
const lookalikes = "" +
	"áaàaâaäaãaåaąaćcčcçcđdéeèeêeëeęeěeíiìiîiïiıińnñnóoòoôoöoõoøośsšsúuùuûuüuýyÿyžz" + // Latin with accents
	"ɑaɡgɩiʏyꞵbſs" +
	"АaВbЕeКkМmНhОoРpСcТtУyХxІiЅsЈj" + "аaвbеeкkмmоoрpсcтtуyхxіiѕsјjһhԁdпnԝwѵvьb" + // Cyrillic
	"ΑaΒbΕeΗhΙiΚkΜmΝnΟoΡpΤtΥyΧxΖz" + "αaβbεeηnιiκkνvοoρpτtυuχxγyωw" + // Greek
	"ոnսuոnօoհhաw" + // Armenian
	"⁰0¹1²2³3⁴4⁵5⁶6⁷7⁸8⁹9₀0₁1₂2₃3₄4₅5₆6₇7₈8₉9" +
	"‘'’'‚'‛'“'”'„'«'»'‹'›'`'´'" +
	"·.•.∙.․.⁄/∕/−-⁃-﹢+⁺+"

var plainForms = func() map[rune]byte {
	m := map[rune]byte{}
	letters := []rune(lookalikes)
	for i := 0; i+1 < len(letters); i += 2 {
		m[letters[i]] = byte(letters[i+1])
	}
	return m
}()

// plain writes a text as a person reads it, in small letters: accents and what
// can't be seen are left out, and letters, figures, blanks and dashes of other
// scripts are those that they look like. It is for comparing only.
func plain(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			r = rune(b[0]) // not UTF-8, most likely ISO 8859-1
		}
		b = b[size:]
		if c, ok := plainForms[r]; ok {
			out = append(out, c)
			continue
		}
		r = unicode.ToLower(r)
		if c, ok := plainForms[r]; ok {
			out = append(out, c)
			continue
		}
		switch {
		case r > ' ' && r < 0x7f:
			out = append(out, byte(r))
		case unicode.IsSpace(r) || r == '\u2800' || r == '\u3164': // the blank of Braille, the filler of Hangul
			out = append(out, ' ')
		case unicode.Is(unicode.Pd, r):
			out = append(out, '-')
		case unicode.In(r, unicode.Mn, unicode.Cc, unicode.Cf): // accents by themselves, controls, what joins and separates unseen
		case r >= 0xff01 && r <= 0xff5e: // fullwidth forms
			out = append(out, byte(r-0xff01+'!'))
		case r >= 0x1d400 && r <= 0x1d6a3: // mathematical alphabets
			out = append(out, byte('a'+(r-0x1d400)%26))
		case unicode.Is(unicode.Nd, r):
			out = append(out, figure(r))
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// figure is the decimal figure that a digit of any script stands for. Digits
// of a script stand in a row that begins at a code of 0 or 6 modulo 16.
func figure(r rune) byte {
	if r >= 0x1d7ce && r <= 0x1d7ff { // mathematical digits, five rows at once
		return byte('0' + (r-0x1d7ce)%10)
	}
	if unicode.Is(unicode.Nd, r&^0xf) {
		return byte('0' + r&0xf)
	}
	return byte('0' + r&0xf - 6)
}

// isPlain reports whether a text is printable ASCII, so that plain only changes its case.
func isPlain[T string | []byte](b T) bool {
	for i := range len(b) {
		if c := b[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
