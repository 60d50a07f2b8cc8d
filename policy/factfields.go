package policy

import (
	"slices"
	"sync"
	"time"
)

// factFields is the one vocabulary of facts: JSON Lines, CSV columns, YAML
// cases and the HTTP interface all use these names.
var factFields = []factField{
	{name: "id", fieldForm: textForm(func(f *Fact) *string { return &f.ID })},
	{name: "kind", fieldForm: nameForm(ParseKind, kindNames[:], func(f *Fact) *Kind { return &f.Kind })},
	{name: "number", fieldForm: numberForm(func(f *Fact) *Number { return &f.Number })},
	{name: "advertiser", fieldForm: textForm(func(f *Fact) *string { return &f.Advertiser })},
	{name: "at", fieldForm: instantForm(false, func(f *Fact) *time.Time { return &f.At })},
	{name: "recorded_at", fieldForm: instantForm(false, func(f *Fact) *time.Time { return &f.RecordedAt })},
	{name: "source", fieldForm: textForm(func(f *Fact) *string { return &f.Source })},
	{name: "batch", fieldForm: textForm(func(f *Fact) *string { return &f.Batch })},

	{name: "purposes", kinds: []Kind{Consent}, list: true,
		fieldForm: namesForm(ParsePurpose, Purpose.String, purposeNames[Commercial:Service], func(f *Fact) *[]Purpose { return &f.Purposes })},
	{name: "products", kinds: []Kind{Consent, Relationship}, list: true, fieldForm: textsForm(func(f *Fact) *[]string { return &f.Products })},
	{name: "channels", kinds: []Kind{Consent}, list: true,
		fieldForm: namesForm(parseChannel, channelName, []string{"voice", "robocall"}, func(f *Fact) *[]CallMode { return &f.Channels })},
	{name: "method", kinds: []Kind{Consent}, fieldForm: oneOfForm(methods, func(f *Fact) *string { return &f.Method })},
	{name: "preticked", kinds: []Kind{Consent}, fieldForm: flagForm(func(f *Fact) *bool { return &f.Preticked })},
	{name: "bundled", kinds: []Kind{Consent}, fieldForm: flagForm(func(f *Fact) *bool { return &f.Bundled })},
	{name: "verified_at", kinds: []Kind{Consent}, fieldForm: instantForm(false, func(f *Fact) *time.Time { return &f.VerifiedAt })},
	{name: "verified_by", kinds: []Kind{Consent}, fieldForm: oneOfForm(verifiers, func(f *Fact) *string { return &f.VerifiedBy })},
	{name: "valid_until", kinds: []Kind{Consent, Callback}, fieldForm: instantForm(true, func(f *Fact) *time.Time { return &f.ValidUntil })},
	{name: "first_call_by", kinds: []Kind{Consent}, fieldForm: instantForm(true, func(f *Fact) *time.Time { return &f.FirstCallBy })},
	{name: "after_objection", kinds: []Kind{Consent}, fieldForm: flagForm(func(f *Fact) *bool { return &f.AfterObjection })},

	{name: "consent", kinds: []Kind{Withdrawal}, fieldForm: textForm(func(f *Fact) *string { return &f.Consent })},

	{name: "scope", kinds: []Kind{Objection}, fieldForm: nameForm(ParseScope, scopeNames[:], func(f *Fact) *Scope { return &f.Scope })},
	{name: "via", kinds: []Kind{Objection}, fieldForm: textForm(func(f *Fact) *string { return &f.Via })},

	{name: "type", kinds: []Kind{Relationship},
		fieldForm: nameForm(ParseRelationshipType, relationshipNames[Sale:], func(f *Fact) *RelationshipType { return &f.Type }).
			unless(func(f *Fact) bool { return f.Type == NoRelationship })},
	{name: "started", kinds: []Kind{Relationship}, fieldForm: dateForm(func(f *Fact) *Date { return &f.Started })},
	{name: "ended", kinds: []Kind{Relationship}, fieldForm: dateForm(func(f *Fact) *Date { return &f.Ended })},
	{name: "collected_in_sale", kinds: []Kind{Relationship}, fieldForm: flagForm(func(f *Fact) *bool { return &f.CollectedInSale })},
	{name: "objection_offered", kinds: []Kind{Relationship}, fieldForm: flagForm(func(f *Fact) *bool { return &f.ObjectionOffered })},
	{name: "objected", kinds: []Kind{Relationship}, fieldForm: flagForm(func(f *Fact) *bool { return &f.Objected })},

	{name: "subscriber", kinds: []Kind{Subscriber}, fieldForm: nameForm(ParseSubscriberKind, subscriberNames[:], func(f *Fact) *SubscriberKind { return &f.Subscriber })},
	{name: "legal_form", kinds: []Kind{Subscriber}, fieldForm: textForm(func(f *Fact) *string { return &f.LegalForm })},
	{name: "published_for", kinds: []Kind{Subscriber}, list: true, fieldForm: textsForm(func(f *Fact) *[]string { return &f.PublishedFor })},

	{name: "topic", kinds: []Kind{Callback}, fieldForm: textForm(func(f *Fact) *string { return &f.Topic })},

	{name: "list", kinds: []Kind{Listed}, fieldForm: textForm(func(f *Fact) *string { return &f.List })},
	{name: "until", kinds: []Kind{Listed}, fieldForm: instantForm(true, func(f *Fact) *time.Time { return &f.Until })},

	{name: "undoes", kinds: []Kind{Undo}, fieldForm: textForm(func(f *Fact) *string { return &f.Undoes })},
	{name: "lifts", kinds: []Kind{Undo}, fieldForm: flagForm(func(f *Fact) *bool { return &f.Lifts })},

	{name: "evidence.uri", fieldForm: textForm(func(f *Fact) *string { return &f.Evidence.URI })},
	{name: "evidence.sha256", fieldForm: digestForm(func(f *Fact) *string { return &f.Evidence.SHA256 })},
	{name: "evidence.text_version", fieldForm: textForm(func(f *Fact) *string { return &f.Evidence.TextVersion })},
	{name: "evidence.text_sha256", fieldForm: digestForm(func(f *Fact) *string { return &f.Evidence.TextSHA256 })},
	{name: "evidence.person", fieldForm: textForm(func(f *Fact) *string { return &f.Evidence.Person })},
	{name: "evidence.ip", fieldForm: textForm(func(f *Fact) *string { return &f.Evidence.IP })},
	{name: "evidence.note", fieldForm: textForm(func(f *Fact) *string { return &f.Evidence.Note })},
}

var (
	methods   = []string{"web-form", "paper", "phone", "in-person", "app"}
	verifiers = []string{"sms", "email", "app", "phone"}
)

// A factField is one name of the vocabulary.
type factField struct {
	name  string
	kinds []Kind // nil: every kind has it
	list  bool
	fieldForm
}

// fieldsOf are the fields that facts of a kind have.
func fieldsOf(k Kind) []*factField {
	if int(k) < len(kindNames) {
		return factFieldsByKind()[k]
	}
	return factFieldsByKind()[NoKind]
}

var factFieldsByKind = sync.OnceValue(func() [][]*factField {
	byKind := make([][]*factField, len(kindNames))
	for k := range byKind {
		for i := range factFields {
			if factFields[i].of(Kind(k)) {
				byKind[k] = append(byKind[k], &factFields[i])
			}
		}
	}
	return byKind
})

func (f *factField) of(k Kind) bool { return f.kinds == nil || slices.Contains(f.kinds, k) }

// FactFields lists the names of all fields in their fixed order.
func FactFields() []string {
	names := make([]string, len(factFields))
	for i := range factFields {
		names[i] = factFields[i].name
	}
	return names
}

// FactWords lists the words that a field can have, none when it can have any text.
func FactWords(field string) []string {
	f := findFactField(field)
	if f == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(f.words), func(word string) bool { return word == "" })
}

var factFieldsByName = sync.OnceValue(func() map[string]*factField {
	byName := make(map[string]*factField, len(factFields))
	for i := range factFields {
		byName[factFields[i].name] = &factFields[i]
	}
	return byName
})

func findFactField(name string) *factField { return factFieldsByName()[name] }

// A consent speaks of the channel "voice" where a campaign says "live".
func parseChannel(s string) (CallMode, bool) {
	switch s {
	case "voice":
		return Live, true
	case "robocall":
		return Robocall, true
	}
	return 0, false
}

func channelName(m CallMode) string {
	if m == Live {
		return "voice"
	}
	return m.String()
}
