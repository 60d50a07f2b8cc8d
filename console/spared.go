package console

import (
	"slices"
	"strings"
	"sync"
	"time"

	"dialgate/policy"
)

// spared are the calls that went on although a rule would have refused them,
// counted over the last ones by that rule and its reason.
type spared struct {
	Looked int // calls that went on so, at most sparedCalls
	byRule map[string][]sparedFor
}

// A sparedFor is how many calls went on that a rule would have refused for one reason.
type sparedFor struct {
	Reason string
	Count  int
}

const (
	sparedCalls = 2000
	readEvery   = 30 * time.Second // of what is made of many calls
)

// A remembered value is made anew when it is older than readEvery.
type remembered[T any] struct {
	mu   sync.Mutex
	at   time.Time
	last *T
}

func (m *remembered[T]) get(now time.Time, make func() (*T, error)) (*T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last != nil && now.Sub(m.at) < readEvery {
		return m.last, nil
	}
	v, err := make()
	if err == nil {
		m.at, m.last = now, v
	}
	return v, err
}

// readSpared looks at the last calls that went on so.
func (s *Server) readSpared() (*spared, error) {
	page, err := s.search(Search{Reason: policy.ReasonNotEnforced.String(), Most: sparedCalls})
	if err != nil {
		return nil, err
	}
	out := &spared{Looked: len(page.Calls), byRule: map[string][]sparedFor{}}
	for i := range page.Calls {
		c := &page.Calls[i]
		list := out.byRule[c.Rule]
		at := slices.IndexFunc(list, func(f sparedFor) bool { return f.Reason == c.Would })
		if at < 0 {
			list, at = append(list, sparedFor{Reason: c.Would}), len(list)
		}
		list[at].Count++
		out.byRule[c.Rule] = list
	}
	for _, list := range out.byRule {
		slices.SortFunc(list, func(a, b sparedFor) int {
			if a.Count != b.Count {
				return b.Count - a.Count
			}
			return strings.Compare(a.Reason, b.Reason)
		})
	}
	return out, nil
}
