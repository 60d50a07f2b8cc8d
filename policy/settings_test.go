package policy

import (
	"strings"
	"testing"
)

func ruleBook() *Book {
	return &Book{Country: "NL", Code: "31", Version: "test", Rules: []Rule{{ID: "nl.often", Params: []Param{{Name: "max", Most: 5}}, Judge: func(*Call, *Bound) Finding { return passed }}}}
}

func TestAParameterHasItsBounds(t *testing.T) {
	for value, ok := range map[int]bool{-1: false, 0: true, 5: true, 6: false} {
		_, err := NewBooks(Settings{Params: map[string]map[string]int{"nl.often": {"max": value}}}, ruleBook())
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "from 0 to 5") {
			t.Errorf("max %d: %v", value, err)
		}
	}
}

// TestARuleThatIsLeftOutMayHaveSettings, since it is left out for a question
// that is asked beside the configuration.
func TestARuleThatIsLeftOutMayHaveSettings(t *testing.T) {
	books, err := NewBooks(Settings{Modes: map[string]Mode{"nl.often": Shadow}, Without: []string{"nl.often"}}, ruleBook())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range books.Rules() {
		if r.ID == "nl.often" {
			t.Error("it is there")
		}
	}
}
