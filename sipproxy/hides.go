package sipproxy

// Hides reports whether a word in place of a number, user, name or host stands
// for a caller who is hidden. Whoever rewrites messages must leave it.
func Hides(word []byte) bool {
	return hidingDigits(word) || among(hidingWords, word) || among(hidingNames, word) || among(unsetNames, word) || hidingHost(word)
}
