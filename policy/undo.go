package policy

// An undo is a fact that makes another one of its number void, as an import
// that was a mistake is undone: nothing is deleted, and what was known before
// the undo was recorded can still be told. An undo can't be undone.
//
// What protects the called person stays, unless the undo says that it lifts it:
// so no list of undone ids makes a call pass by an oversight.

// Protects reports whether a fact can stand in the way of a call.
func (f *Fact) Protects() bool {
	switch f.Kind {
	case Objection, Withdrawal, Listed:
		return true
	case Subscriber:
		return f.Subscriber != Legal
	}
	return false
}

// Voids reports whether an undo makes a fact of its number void.
func (f *Fact) Voids(g *Fact) bool {
	return f.Kind == Undo && f.Undoes == g.ID && g.Kind != Undo && (f.Lifts || !g.Protects())
}

// UndoneBy is the first undo that makes a fact void, nil if there is none.
func (f *Facts) UndoneBy(g *Fact) *Fact {
	for i := range f.All {
		if f.All[i].Voids(g) {
			return &f.All[i]
		}
	}
	return nil
}

// InForce is the facts that count: all but those that were undone, and the
// undos. Where nothing was undone it is f itself.
func (f *Facts) InForce() *Facts {
	var undos map[string][]*Fact
	for i := range f.All {
		if u := &f.All[i]; u.Kind == Undo {
			if undos == nil {
				undos = map[string][]*Fact{}
			}
			undos[u.Undoes] = append(undos[u.Undoes], u)
		}
	}
	if undos == nil {
		return f
	}
	in := *f
	in.All = make([]Fact, 0, len(f.All))
next:
	for i := range f.All {
		g := &f.All[i]
		if g.Kind == Undo {
			continue
		}
		for _, u := range undos[g.ID] {
			if u.Voids(g) {
				continue next
			}
		}
		in.All = append(in.All, *g)
	}
	return &in
}
