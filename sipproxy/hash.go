package sipproxy

import "hash/maphash"

func newHash(seed maphash.Seed) *maphash.Hash {
	var h maphash.Hash
	h.SetSeed(seed)
	return &h
}
