package review

import (
	"math"
	"math/bits"

	"dialgate/policy"
)

// A sketch counts how many different numbers it has seen. Up to exactNumbers
// it keeps them; beyond, it estimates by HyperLogLog (Flajolet and others,
// 2007) in registers of fixed size, with a standard error of 1.6 per cent.
type sketch struct {
	exact     map[uint64]struct{}
	registers []uint8 // nil while exact
}

const (
	exactNumbers = 1024
	sketchBits   = 12
)

func (s *sketch) add(n policy.Number) {
	if s.registers == nil {
		if s.exact == nil {
			s.exact = map[uint64]struct{}{}
		}
		if s.exact[n.Key()] = struct{}{}; len(s.exact) <= exactNumbers {
			return
		}
		s.registers = make([]uint8, 1<<sketchBits)
		for key := range s.exact {
			s.note(key)
		}
		s.exact = nil
	}
	s.note(n.Key())
}

// note keeps, of all hashes with the same first bits, the longest run of
// zeroes that follows them.
func (s *sketch) note(key uint64) {
	h := key + 0x9e3779b97f4a7c15 // SplitMix64, whose bits are even enough
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	i := h >> (64 - sketchBits)
	run := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1)) + 1)
	s.registers[i] = max(s.registers[i], run)
}

// Numbers is how many different numbers there are.
type Numbers struct {
	Count int  `json:"count"`
	Exact bool `json:"exact"` // false: Count is an estimate, within a few per cent
}

func (s *sketch) numbers() Numbers {
	if s.registers == nil {
		return Numbers{len(s.exact), true}
	}
	m := float64(len(s.registers))
	sum, empty := 0.0, 0
	for _, r := range s.registers {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			empty++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(m/float64(empty)) // linear counting, better while many are empty
	}
	return Numbers{int(math.Round(estimate)), false}
}

// String is the count, with "about" before an estimate.
func (n Numbers) String() string {
	if n.Exact {
		return thousands(n.Count)
	}
	return "about " + thousands(n.Count)
}

// Phrase is the count with its noun.
func (n Numbers) Phrase() string {
	if n.Count == 1 {
		return n.String() + " number"
	}
	return n.String() + " numbers"
}
