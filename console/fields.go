package console

// fieldTexts says in words what the fields of facts are.
var fieldTexts = map[string]string{
	"id": "its id", "kind": "kind of fact", "number": "telephone number", "advertiser": "advertiser", "at": "when it happened", "recorded_at": "when it was recorded",
	"source": "source", "batch": "import that brought it in",
	"purposes": "purposes", "products": "products", "channels": "channels", "method": "how it was given", "preticked": "box ticked beforehand", "bundled": "bundled with something else",
	"verified_at": "confirmed at", "verified_by": "confirmed by", "valid_until": "valid until", "first_call_by": "first call not later than", "after_objection": "given after an objection",
	"consent": "consent that is withdrawn", "scope": "against which calls", "via": "how it came",
	"type": "type of relationship", "started": "began on", "ended": "ended on", "collected_in_sale": "number obtained in a sale", "objection_offered": "objection offered when obtained", "objected": "objected when obtained",
	"subscriber": "kind of subscriber", "legal_form": "legal form", "published_for": "published for", "topic": "topic", "list": "which register", "until": "listed until",
	"undoes": "fact that is undone", "lifts": "also what protects",
	"evidence.uri": "evidence: where it is", "evidence.sha256": "evidence: its SHA-256", "evidence.text_version": "evidence: version of the text", "evidence.text_sha256": "evidence: SHA-256 of the text",
	"evidence.person": "evidence: who it was", "evidence.ip": "evidence: IP address", "evidence.note": "evidence: note",
}

// Field says what a field of a fact is.
func (v *view) Field(name string) string { return v.T(fieldTexts[name]) }
