package store

import (
	"bufio"
	"bytes"
	"testing"

	"dialgate/policy"
)

// TestKnownElsewhere: what one process writes of numbers, another reads as the
// store itself would, calls in flight included; and nothing that is cut short.
func TestKnownElsewhere(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	defer s.Close()
	add(t, s, objection("a", alice, noon), objection("b", alice, noon))
	mustCall(t, s, call(bob, "one", 1))
	var held policy.Facts
	if err := s.Hold(bob, &held); err != nil {
		t.Fatal(err)
	}
	two, _ := call(bob, "two", 2).Attempt.Made()
	s.Release(bob, &two)

	numbers := []policy.Number{bob, {}, alice, policy.MustNumber("+31612345699")}
	want := make([]policy.Facts, len(numbers))
	if err := s.Known(numbers, want); err != nil {
		t.Fatal(err)
	}
	if len(want[0].Calls) != 2 || len(want[2].All) != 2 || len(want[1].All)+len(want[3].All) != 0 {
		t.Fatalf("%+v", want)
	}
	wire, err := s.AppendKnown(nil, numbers)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]policy.Facts, len(numbers))
	if err := ReadKnown(bufio.NewReader(bytes.NewReader(wire)), numbers, got); err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if w, g := appendValue(nil, want[i].All, want[i].Calls), appendValue(nil, got[i].All, got[i].Calls); !bytes.Equal(w, g) || got[i].Number != numbers[i] {
			t.Errorf("%d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	for cut := range len(wire) {
		if err := ReadKnown(bufio.NewReader(bytes.NewReader(wire[:cut])), numbers, got); err == nil {
			t.Fatalf("%d of %d octets are enough", cut, len(wire))
		}
	}
}
