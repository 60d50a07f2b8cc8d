package policy

import (
	"slices"
	"sync"
	"time"
)

// factFields is the one vocabulary of facts: JSON Lines, CSV columns, YAML
// cases and the HTTP interface all use these names.
var factFields = []factField{
	{name: "id", get: func(f *Fact) any { return f.ID }, set: setText(func(f *Fact) *string { return &f.ID })},
	{name: "kind", get: func(f *Fact) any { return f.Kind.String() }, set: setName(ParseKind, kindNames[:], func(f *Fact) *Kind { return &f.Kind })},
	{name: "number", get: func(f *Fact) any { return f.Number.E164() }, set: func(r *factReader, f *Fact, v any) (err error) {
		text, _ := v.(string)
		f.Number, err = r.form.number(text)
		return err
	}},
	{name: "advertiser", get: func(f *Fact) any { return f.Advertiser }, set: setText(func(f *Fact) *string { return &f.Advertiser })},
	{name: "at", get: func(f *Fact) any { return instant(f.At) }, set: setInstant(false, func(f *Fact) *time.Time { return &f.At })},
	{name: "recorded_at", get: func(f *Fact) any { return instant(f.RecordedAt) }, set: setInstant(false, func(f *Fact) *time.Time { return &f.RecordedAt })},
	{name: "source", get: func(f *Fact) any { return f.Source }, set: setText(func(f *Fact) *string { return &f.Source })},
	{name: "batch", get: func(f *Fact) any { return f.Batch }, set: setText(func(f *Fact) *string { return &f.Batch })},

	{name: "purposes", kinds: []Kind{Consent}, list: true, get: func(f *Fact) any { return namesOf(f.Purposes) },
		set: setNames(ParsePurpose, purposeNames[Commercial:Service], func(f *Fact) *[]Purpose { return &f.Purposes })},
	{name: "products", kinds: []Kind{Consent, Relationship}, list: true, get: func(f *Fact) any { return f.Products }, set: setTexts(func(f *Fact) *[]string { return &f.Products })},
	{name: "channels", kinds: []Kind{Consent}, list: true, get: func(f *Fact) any { return channelNames(f.Channels) },
		set: setNames(parseChannel, []string{"voice", "robocall"}, func(f *Fact) *[]CallMode { return &f.Channels })},
	{name: "method", kinds: []Kind{Consent}, get: func(f *Fact) any { return f.Method }, set: setOneOf(methods, func(f *Fact) *string { return &f.Method })},
	{name: "preticked", kinds: []Kind{Consent}, get: func(f *Fact) any { return f.Preticked }, set: setBool(func(f *Fact) *bool { return &f.Preticked })},
	{name: "bundled", kinds: []Kind{Consent}, get: func(f *Fact) any { return f.Bundled }, set: setBool(func(f *Fact) *bool { return &f.Bundled })},
	{name: "verified_at", kinds: []Kind{Consent}, get: func(f *Fact) any { return instant(f.VerifiedAt) }, set: setInstant(false, func(f *Fact) *time.Time { return &f.VerifiedAt })},
	{name: "verified_by", kinds: []Kind{Consent}, get: func(f *Fact) any { return f.VerifiedBy }, set: setOneOf(verifiers, func(f *Fact) *string { return &f.VerifiedBy })},
	{name: "valid_until", kinds: []Kind{Consent, Callback}, get: func(f *Fact) any { return instant(f.ValidUntil) }, set: setInstant(true, func(f *Fact) *time.Time { return &f.ValidUntil })},
	{name: "first_call_by", kinds: []Kind{Consent}, get: func(f *Fact) any { return instant(f.FirstCallBy) }, set: setInstant(true, func(f *Fact) *time.Time { return &f.FirstCallBy })},
	{name: "after_objection", kinds: []Kind{Consent}, get: func(f *Fact) any { return f.AfterObjection }, set: setBool(func(f *Fact) *bool { return &f.AfterObjection })},

	{name: "consent", kinds: []Kind{Withdrawal}, get: func(f *Fact) any { return f.Consent }, set: setText(func(f *Fact) *string { return &f.Consent })},

	{name: "scope", kinds: []Kind{Objection}, get: func(f *Fact) any {
		if f.Kind != Objection {
			return ""
		}
		return f.Scope.String()
	}, set: setName(ParseScope, scopeNames[:], func(f *Fact) *Scope { return &f.Scope })},
	{name: "via", kinds: []Kind{Objection}, get: func(f *Fact) any { return f.Via }, set: setText(func(f *Fact) *string { return &f.Via })},

	{name: "type", kinds: []Kind{Relationship}, get: func(f *Fact) any {
		if f.Type == NoRelationship {
			return ""
		}
		return f.Type.String()
	}, set: setName(ParseRelationshipType, relationshipNames[Sale:], func(f *Fact) *RelationshipType { return &f.Type })},
	{name: "started", kinds: []Kind{Relationship}, get: func(f *Fact) any { return f.Started.String() }, set: setDate(func(f *Fact) *Date { return &f.Started })},
	{name: "ended", kinds: []Kind{Relationship}, get: func(f *Fact) any { return f.Ended.String() }, set: setDate(func(f *Fact) *Date { return &f.Ended })},
	{name: "collected_in_sale", kinds: []Kind{Relationship}, get: func(f *Fact) any { return f.CollectedInSale }, set: setBool(func(f *Fact) *bool { return &f.CollectedInSale })},
	{name: "objection_offered", kinds: []Kind{Relationship}, get: func(f *Fact) any { return f.ObjectionOffered }, set: setBool(func(f *Fact) *bool { return &f.ObjectionOffered })},
	{name: "objected", kinds: []Kind{Relationship}, get: func(f *Fact) any { return f.Objected }, set: setBool(func(f *Fact) *bool { return &f.Objected })},

	{name: "subscriber", kinds: []Kind{Subscriber}, get: func(f *Fact) any {
		if f.Kind != Subscriber {
			return ""
		}
		return f.Subscriber.String()
	}, set: setName(ParseSubscriberKind, subscriberNames[:], func(f *Fact) *SubscriberKind { return &f.Subscriber })},
	{name: "legal_form", kinds: []Kind{Subscriber}, get: func(f *Fact) any { return f.LegalForm }, set: setText(func(f *Fact) *string { return &f.LegalForm })},
	{name: "published_for", kinds: []Kind{Subscriber}, list: true, get: func(f *Fact) any { return f.PublishedFor }, set: setTexts(func(f *Fact) *[]string { return &f.PublishedFor })},

	{name: "topic", kinds: []Kind{Callback}, get: func(f *Fact) any { return f.Topic }, set: setText(func(f *Fact) *string { return &f.Topic })},

	{name: "list", kinds: []Kind{Listed}, get: func(f *Fact) any { return f.List }, set: setText(func(f *Fact) *string { return &f.List })},
	{name: "until", kinds: []Kind{Listed}, get: func(f *Fact) any { return instant(f.Until) }, set: setInstant(true, func(f *Fact) *time.Time { return &f.Until })},

	{name: "undoes", kinds: []Kind{Undo}, get: func(f *Fact) any { return f.Undoes }, set: setText(func(f *Fact) *string { return &f.Undoes })},
	{name: "lifts", kinds: []Kind{Undo}, get: func(f *Fact) any { return f.Lifts }, set: setBool(func(f *Fact) *bool { return &f.Lifts })},

	{name: "evidence.uri", get: func(f *Fact) any { return f.Evidence.URI }, set: setText(func(f *Fact) *string { return &f.Evidence.URI })},
	{name: "evidence.sha256", get: func(f *Fact) any { return f.Evidence.SHA256 }, set: setDigest(func(f *Fact) *string { return &f.Evidence.SHA256 })},
	{name: "evidence.text_version", get: func(f *Fact) any { return f.Evidence.TextVersion }, set: setText(func(f *Fact) *string { return &f.Evidence.TextVersion })},
	{name: "evidence.text_sha256", get: func(f *Fact) any { return f.Evidence.TextSHA256 }, set: setDigest(func(f *Fact) *string { return &f.Evidence.TextSHA256 })},
	{name: "evidence.person", get: func(f *Fact) any { return f.Evidence.Person }, set: setText(func(f *Fact) *string { return &f.Evidence.Person })},
	{name: "evidence.ip", get: func(f *Fact) any { return f.Evidence.IP }, set: setText(func(f *Fact) *string { return &f.Evidence.IP })},
	{name: "evidence.note", get: func(f *Fact) any { return f.Evidence.Note }, set: setText(func(f *Fact) *string { return &f.Evidence.Note })},
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
	get   func(*Fact) any                     // string, bool or []string; the zero value is not written
	set   func(*factReader, *Fact, any) error // v is a string; a bool or a []string where the field is one
}

func (f *factField) of(k Kind) bool { return f.kinds == nil || slices.Contains(f.kinds, k) }

// FactFields lists the names of all fields in their fixed order.
func FactFields() []string {
	names := make([]string, len(factFields))
	for i := range factFields {
		names[i] = factFields[i].name
	}
	return names
}

var factFieldsByName = sync.OnceValue(func() map[string]*factField {
	byName := make(map[string]*factField, len(factFields))
	for i := range factFields {
		byName[factFields[i].name] = &factFields[i]
	}
	return byName
})

func findFactField(name string) *factField { return factFieldsByName()[name] }

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

func namesOf[T interface{ String() string }](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.String())
	}
	return out
}

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

func channelNames(list []CallMode) []string {
	var out []string
	for _, m := range list {
		if m == Live {
			out = append(out, "voice")
			continue
		}
		out = append(out, m.String())
	}
	return out
}
