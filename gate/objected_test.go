package gate

import (
	"errors"
	"testing"
	"time"

	"dialgate/policy"
)

// TestObjected: only an enforced rule that refuses for an objection ends a call,
// by what is known now and not when the call began.
func TestObjected(t *testing.T) {
	book := openBook()
	book.Rules = append(book.Rules, policy.Rule{
		ID: "test.objected", Reasons: []policy.Reason{policy.ReasonObjected, policy.ReasonOutsideHours},
		Judge: func(c *policy.Call, _ *policy.Bound) policy.Finding {
			for _, f := range c.Facts.All {
				if f.Kind == policy.Objection && !f.Binds().After(c.At) {
					return policy.Finding{Result: policy.Deny, Reason: policy.ReasonObjected}
				}
			}
			return policy.Finding{Result: policy.Deny, Reason: policy.ReasonOutsideHours}
		},
	})
	for name, c := range map[string]struct {
		facts knownFacts
		mode  policy.Mode
		want  bool
	}{
		"objected":             {knownFacts{objected: true}, policy.Enforce, true},
		"not objected":         {knownFacts{}, policy.Enforce, false},
		"only in shadow":       {knownFacts{objected: true}, policy.Shadow, false},
		"nothing can be known": {knownFacts{err: errors.New("broken")}, policy.Enforce, true},
	} {
		books, err := policy.NewBooks(policy.Settings{Modes: map[string]policy.Mode{"test.objected": c.mode}}, book)
		if err != nil {
			t.Fatal(err)
		}
		g := New(Options{Rules: Rules{Books: books}, Facts: &c.facts, Now: func() time.Time { return now }})
		a := attempt(known)
		a.At = now.Add(-time.Minute)
		if got := g.Objected(a); got != c.want || !a.At.Equal(now.Add(-time.Minute)) {
			t.Errorf("%s: %t", name, got)
		}
	}
}

type knownFacts struct {
	objected bool
	err      error
}

func (f *knownFacts) Release(policy.Number, *policy.EarlierCall) {}

func (f *knownFacts) TakeBack(policy.Number, policy.EarlierCall) {}

func (f *knownFacts) Hold(n policy.Number, into *policy.Facts) error {
	into.Number = n
	if f.objected {
		into.All = []policy.Fact{{ID: "o1", Kind: policy.Objection, Number: n, At: now.Add(-time.Second)}}
	}
	return f.err
}
