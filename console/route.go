package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// A route is one endpoint of the API. The OpenAPI document is made of the same
// table, and so is the test that tries every endpoint with every role.
type route struct {
	method, path string
	door
	summary string
	query   []parameter
	body    any    // an example of what it takes, nil: nothing
	takes   string // media type of the body, "": JSON
	answer  any    // an example of what it answers
	status  int    // 0: 200
	gives   string // media type of the answer, "": JSON
	serve   func(s *Server, c *call) error
}

// A parameter stands in the query.
type parameter struct{ name, what string }

// A call is one request to the API under way.
type call struct {
	w   http.ResponseWriter
	r   *http.Request
	who *access.Principal
}

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	csvType    = "text/csv"
	anyType    = "application/octet-stream"
	eventType  = "text/event-stream"
)

// readingQuery says how a file is read.
var readingQuery = []parameter{{"dutch_dates", "as for POST /v1/imports, as are those below"}, {"const.FIELD", ""}, {"column.NAME", ""}, {"value.FIELD.TEXT", ""}, {"ignore", ""}, {"mapping", ""}, {"guess", ""}}

// routes is the whole API.
var routes = []route{
	{method: "POST", path: "/v1/facts", door: door{access.Change, false}, summary: "Enter one fact, or many as NDJSON with an answer line for each: durable and in force for the next call when answered. A fact whose id is known already changes nothing.",
		body: factExample{}, answer: added{}, serve: (*Server).addFacts},
	{method: "POST", path: "/v1/objections", door: door{access.Change, false}, summary: "Enter an objection. It binds the next call, and ends one that is ringing.",
		body: objection{}, answer: added{}, serve: (*Server).addObjection},
	{method: "POST", path: "/v1/numbers/query", door: door{access.SeeNumbers, false}, summary: "What is known of a number: its facts, its calls, and for each campaign whether it may be called now. The look is recorded.",
		body: numberQuery{}, answer: numberView{}, serve: (*Server).queryNumber},
	{method: "POST", path: "/v1/erasures", door: door{access.Administer, true}, summary: "Erase a number for good. Objections and register entries go on binding, by a keyed hash.",
		body: erasure{}, answer: Erased{}, serve: (*Server).erase},
	{method: "POST", path: "/v1/decide", door: door{access.SeeNumbers | access.SeeState, true}, summary: "Judge one hypothetical call, as dialgate explain does. The look is recorded.",
		body: Question{}, answer: nil, serve: (*Server).decide},
	{method: "GET", path: "/v1/decisions", door: door{access.SeeCalls, false}, summary: "Decisions, the newest first, with masked numbers; with follow=true, or Accept: text/event-stream, new ones as they are made.",
		query: []parameter{{"from", "not before this instant, RFC 3339"}, {"to", "before this instant"}, {"verdict", "allow or deny"}, {"reason", "such as no-consent"}, {"rule", "id of the rule that decided, or of not-enforced would have refused"}, {"peer", "id"}, {"campaign", "id"},
			{"limit", "decisions on a page, 1 to 200; default 50"}, {"cursor", "next of the page before"}, {"follow", "true: a stream of events"}},
		answer: decisionPage{}, serve: (*Server).decisions},
	{method: "GET", path: "/v1/decisions/{seq}", door: door{access.SeeCalls, false}, summary: "One decision with how the call ended. full=true gives the numbers in full to who may see them; the look is recorded.",
		query: []parameter{{"full", "true: numbers in full"}}, answer: Call{}, serve: (*Server).decision},
	{method: "POST", path: "/v1/imports", door: door{access.Change, true}, summary: "Import a file of facts: CSV, XLSX or JSON Lines. It is worked off in the background; the answer says where it is told of.",
		query: []parameter{{"name", "of the file"}, {"dry_run", "true: read and check, change nothing"}, {"dutch_dates", "true: dates are day-month-year"}, {"const.FIELD", "a field that every row has, such as const.kind=consent"}, {"column.NAME", "the field that a column of the file is, such as column.Telefoon=number"}, {"value.FIELD.TEXT", "what a text of the file means, such as value.preticked.Ja=true"}, {"ignore", "a column that is not read; * for all others"},
			{"mapping", "name of a mapping that was kept; what else is said here goes before it"}, {"guess", "true: columns that are not named are read as what they seem to be, or not"}, {"keep", "true: keep the file for a preview, import nothing yet"}},
		body:   []byte{},
		takes:  anyType,
		answer: importJob{}, status: http.StatusAccepted, serve: (*Server).startImport},
	{method: "GET", path: "/v1/imports", door: door{access.Change, true}, summary: "The last imports.", answer: []importJob{}, serve: (*Server).listImports},
	{method: "GET", path: "/v1/imports/{id}", door: door{access.Change, true}, summary: "One import and how far it is.", answer: importJob{}, serve: (*Server).oneImport},
	{method: "GET", path: "/v1/imports/{id}/preview", door: door{access.Change, true}, summary: "The first rows of a file that is kept, as they would be read.", query: readingQuery, answer: Preview{}, serve: (*Server).previewImport},
	{method: "POST", path: "/v1/imports/{id}/run", door: door{access.Change, true}, summary: "Import a file that is kept, as is said here.", query: append([]parameter{{"dry_run", "true: read and check, change nothing"}}, readingQuery...), answer: importJob{}, status: http.StatusAccepted, serve: (*Server).runImport},
	{method: "POST", path: "/v1/imports/undo", door: door{access.Change, true}, summary: "Undo an import: each fact that it brought in is made void, but for those that protect the called person. It is worked off in the background, as an import is.", body: UndoOptions{}, answer: importJob{}, status: http.StatusAccepted, serve: (*Server).undoImport},
	{method: "GET", path: "/v1/mappings", door: door{access.Change, true}, summary: "The ways of reading files that are kept.", answer: []mapping{}, serve: (*Server).listMappings},
	{method: "PUT", path: "/v1/mappings/{name}", door: door{access.Change, true}, summary: "Keep a way of reading files under a name.", body: mapping{}, answer: mapping{}, serve: (*Server).putMapping},
	{method: "DELETE", path: "/v1/mappings/{name}", door: door{access.Change, true}, summary: "Remove a mapping.", status: http.StatusNoContent, serve: (*Server).removeMapping},
	{method: "GET", path: "/v1/imports/{id}/rejects", door: door{access.Change, true}, summary: "The rows that were refused, with line, column and cause.", gives: csvType, answer: []byte{}, serve: (*Server).importRejects},
	{method: "POST", path: "/v1/scrub", door: door{access.SeeNumbers | access.SeeState, true}, summary: "Judge a list of numbers as calls of a campaign: the list comes back with verdict, reason and valid-until. The look is recorded.",
		query: []parameter{{"campaign", "id"}, {"at", "when it would call, RFC 3339; default: now, without opening hours and holidays"}, {"number_column", "name of the column, or its place from 1; default: found"}},
		body:  []byte{}, takes: csvType, gives: csvType, answer: []byte{}, serve: (*Server).scrub},
	{method: "POST", path: "/v1/proofs", door: door{access.OwnProof, false}, summary: "The proof pack of a number, which anybody can verify offline with dialgate audit verify. Who is bound to an advertiser gets that one's facts and calls alone. The look is recorded.",
		body: proofQuery{}, answer: []byte{}, serve: (*Server).prove},
	{method: "GET", path: "/v1/ledger/checkpoint", door: door{access.SeeProof, true}, summary: "A signed checkpoint of all records. Keep it where who runs the node can't change it.",
		gives: "text/plain", answer: []byte{}, serve: (*Server).checkpoint},
	{method: "GET", path: "/v1/lookups", door: door{access.SeeProof, true}, summary: "Who looked at numbers in full, the newest first.",
		query: []parameter{{"limit", "look-ups on a page, 1 to 200; default 50"}, {"cursor", "next of the page before"}}, answer: lookPage{}, serve: (*Server).lookUps},
	{method: "GET", path: "/v1/state", door: door{access.SeeState, true}, summary: "How the node does.", answer: State{}, serve: (*Server).state},
	{method: "GET", path: "/v1/carriers", door: door{access.SeeState, true}, summary: "The carriers, and which of their targets take calls.", answer: []Carrier{}, serve: (*Server).carriers},
	{method: "GET", path: "/v1/peers", door: door{access.SeeState, true}, summary: "The dialers, and when they last called.", answer: []Peer{}, serve: (*Server).peers},
	{method: "GET", path: "/v1/config", door: door{access.SeeState, true}, summary: "Which configuration is in force, and what came of the last reload.", answer: Config{}, serve: (*Server).config},
	{method: "GET", path: "/v1/rules", door: door{access.SeeState, true}, summary: "Every rule with its dates, mode, strength and source.", answer: []ruleView{}, serve: (*Server).rules},
	{method: "GET", path: "/v1/cases", door: door{access.SeeState, true}, summary: "The acceptance cases that the configuration in force was held to, and what came of them.", answer: []CaseResult{}, serve: (*Server).cases},
	{method: "POST", path: "/v1/reload", door: door{access.Administer, true}, summary: "Read the configuration file again. If anything in it is wrong, nothing changes, and everything that is wrong is listed.",
		answer: Reloaded{}, serve: (*Server).reload},
	{method: "GET", path: "/v1/tokens", door: door{access.Administer, true}, summary: "The tokens, without their secrets.", answer: []tokenView{}, serve: (*Server).listTokens},
	{method: "POST", path: "/v1/tokens", door: door{access.Administer, true}, summary: "Make a token. Its secret is shown this once.", body: newToken{}, answer: madeToken{}, status: http.StatusCreated, serve: (*Server).createToken},
	{method: "GET", path: "/v1/webhooks", door: door{access.Administer, true}, summary: "The webhooks, without their secrets, and how their deliveries stand.", answer: []hookView{}, serve: (*Server).listHooks},
	{method: "POST", path: "/v1/webhooks", door: door{access.Administer, true}, summary: "Have another program told of decisions and objections from now on, signed as Standard Webhooks has it. The secret is shown this once.",
		body: newHook{}, answer: madeHook{}, status: http.StatusCreated, serve: (*Server).createHook},
	{method: "DELETE", path: "/v1/webhooks/{id}", door: door{access.Administer, true}, summary: "End a webhook at once.", status: http.StatusNoContent, serve: (*Server).removeHook},
	{method: "POST", path: "/v1/webhooks/{id}/test", door: door{access.Administer, true}, summary: "Send an event of the type test, and say what came of it.", answer: testedHook{}, serve: (*Server).testHook},
	{method: "POST", path: "/v1/webhooks/{id}/secret", door: door{access.Administer, true}, summary: "Make a new secret. For a day the one before signs beside it.", answer: madeSecret{}, status: http.StatusCreated, serve: (*Server).renewHookSecret},
	{method: "POST", path: "/v1/webhooks/{id}/enable", door: door{access.Administer, true}, summary: "Try a webhook again that was given up or waits: from where it stood, or with skip from now on.", body: enableHook{}, status: http.StatusNoContent, serve: (*Server).enableHook},
	{method: "DELETE", path: "/v1/tokens/{id}", door: door{access.Administer, true}, summary: "Revoke a token at once.", status: http.StatusNoContent, serve: (*Server).revokeToken},
}

// handleAPI puts the routes in place.
func (s *Server) handleAPI(mux *http.ServeMux) error {
	document, err := openAPI(routes, s.o.Explains)
	if err != nil {
		return err
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		_, _ = w.Write(document) // the client has gone
	})
	for i := range routes {
		rt := &routes[i]
		mux.HandleFunc(rt.method+" "+rt.path, func(w http.ResponseWriter, r *http.Request) { s.answer(rt, w, r) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "there is no such endpoint, or it takes another method; /openapi.json lists them"))
	})
	return nil
}

// answer lets a route answer whoever may ask it.
func (s *Server) answer(rt *route, w http.ResponseWriter, r *http.Request) {
	who, err := s.Bearer(r)
	if err == nil && !rt.open(who) {
		err = problem(http.StatusForbidden, "the role "+string(who.Role)+" may not do this")
	}
	if err == nil {
		err = rt.serve(s, &call{w, r, who})
	}
	if err == nil {
		return
	}
	p := s.problemOf(err)
	var wait *waitError
	if errors.As(err, &wait) {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.wait.Seconds())+1))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="dialgate"`)
	}
	writeProblem(w, p)
}

// json answers with a value.
func (c *call) json(status int, v any) error {
	c.w.Header().Set("Content-Type", jsonType)
	c.w.WriteHeader(status)
	enc := json.NewEncoder(c.w)
	enc.SetEscapeHTML(true)
	_ = enc.Encode(v) // the client has gone
	return nil
}

// query collects what is wrong with the parameters.
type query struct {
	r    *http.Request
	errs []error
}

func (q *query) fail(name, format string, args ...any) {
	q.errs = append(q.errs, &Invalid{name, fmt.Sprintf(format, args...)})
}

func (q *query) err() error { return errors.Join(q.errs...) }

func (q *query) text(name string) string { return q.r.URL.Query().Get(name) }

func (q *query) flag(name string) bool {
	switch v := q.text(name); v {
	case "", "false":
	case "true":
		return true
	default:
		q.fail(name, "is %q, want true or false", v)
	}
	return false
}

func (q *query) instant(name string) (t time.Time) {
	v := q.text(name)
	if v == "" {
		return t
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		q.fail(name, "%q is no instant, such as 2026-07-01T09:00:00+02:00", v)
	}
	return t
}

func (q *query) count(name string, usual, most int) int {
	v := q.text(name)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		q.fail(name, "is %q, want a number from 1 to %d", v, most)
	}
	return n
}

// search reads the filters of decisions.
func (q *query) search(who *access.Principal) Search {
	s := Search{From: q.instant("from"), To: q.instant("to"), Verdict: q.text("verdict"), Reason: q.text("reason"), Rule: q.text("rule"),
		Peer: q.text("peer"), Campaign: q.text("campaign"), Advertiser: who.Advertiser, Public: who.Advertiser != "", Most: q.count("limit", 50, 200)}
	if _, ok := policy.ParseVerdict(s.Verdict); !ok && s.Verdict != "" {
		q.fail("verdict", "is %q, want allow or deny", s.Verdict)
	}
	if reason, ok := policy.ParseReason(s.Reason); s.Reason != "" && !ok {
		q.fail("reason", "there is no reason %q", s.Reason)
	} else if who.Advertiser != "" && reason.TellsOfOthers() {
		q.fail("reason", "is not told") // it tells of another advertiser
	}
	s.Before = q.cursor()
	return s
}

// cursor is the record that a page ends before, 0 for the first page.
func (q *query) cursor() uint64 {
	v := q.text("cursor")
	if v == "" {
		return 0
	}
	before, err := strconv.ParseUint(v, 10, 64)
	if err != nil || before == 0 {
		q.fail("cursor", "is none that was given")
	}
	return before
}
