package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
	"dialgate/internal/testca"
	"dialgate/policy"
)

// consoleTest is a node with a token of each role.
type consoleTest struct {
	*node
	t      testing.TB
	tokens map[access.Role]string
	bound  string // an editor's of windkracht alone
	path   string // of the configuration
}

const consoleText = `listen: {udp: [{address: "127.0.0.1:0"}]}
peers: [{id: dialer, sources: [127.0.0.1], campaigns: ["*"]}]
carriers: [{id: carrier, targets: ["127.0.0.1:9"]}]
advertisers: [{id: windkracht, name: Windkracht BV}, {id: zonbank, name: Zonbank NV}]
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
  - {id: bank, advertiser: zonbank, purpose: commercial, products: [savings], callers: ["+31205550101"], objection_offered: true}
api: {address: "127.0.0.1:0"}
store: {path: %q}
`

var tuesday = time.Date(2026, 11, 24, 14, 0, 0, 0, calledZone())

// startConsole starts a node. Sections of the configuration take the place of
// those of the same name, or are added.
func startConsole(t testing.TB, sections ...string) *consoleTest {
	t.Helper()
	return startConsoleLogging(t, slog.New(slog.DiscardHandler), sections...)
}

func startConsoleLogging(t testing.TB, log *slog.Logger, sections ...string) *consoleTest {
	t.Helper()
	text := consoleText
	for _, section := range sections {
		name, _, _ := strings.Cut(section, ":")
		if _, after, there := strings.Cut(text, "\n"+name+":"); there {
			_, rest, _ := strings.Cut(after, "\n")
			for strings.HasPrefix(rest, " ") {
				_, rest, _ = strings.Cut(rest, "\n")
			}
			text = strings.TrimSuffix(text, "\n"+name+":"+after) + "\n" + rest
		}
		text += section + "\n"
	}
	dir := t.TempDir()
	c := &consoleTest{t: t, path: filepath.Join(dir, "dialgate.yaml")}
	if err := os.WriteFile(c.path, []byte(fmt.Sprintf(text, filepath.Join(dir, "data"))), 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(log)
	return c
}

// start starts the node of a configuration, and makes a token of each role.
func (c *consoleTest) start(log *slog.Logger) {
	t := c.t
	t.Helper()
	c.tokens = map[access.Role]string{}
	w, err := loadAccepted(c.path)
	if err != nil {
		t.Fatal(err)
	}
	if c.node, err = startNode(w, nodeOptions{now: func() time.Time { return tuesday }, log: log, config: c.path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	for _, role := range access.Roles() {
		advertiser := ""
		if role == access.Advertiser {
			advertiser = "windkracht"
		}
		if c.tokens[role], _, err = c.keys.Create(access.Token{Name: string(role), Role: role, Advertiser: advertiser}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if c.bound, _, err = c.keys.Create(access.Token{Name: "bound", Role: access.Editor, Advertiser: "windkracht"}, time.Now()); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request and returns the status and the body.
func (c *consoleTest) ask(token, method, path, kind, body string) (int, string) {
	c.t.Helper()
	res := c.open(token, method, path, kind, strings.NewReader(body))
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func (c *consoleTest) open(token, method, path, kind string, body io.Reader) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url()+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// as is ask with JSON, which must be answered with a status.
func (c *consoleTest) as(role access.Role, method, path, body string, want int) string {
	c.t.Helper()
	status, text := c.ask(c.tokens[role], method, path, "application/json", body)
	if status != want {
		c.t.Errorf("%s %s as %s: %d, want %d: %s", method, path, role, status, want, text)
	}
	return text
}

// judgeOne has the gate judge one call to a number.
func (c *consoleTest) judgeOne(from, to, callID string, headers ...string) {
	c.t.Helper()
	w := c.current.Load()
	h := hypothetical{from: from, to: to, callID: callID, headers: headers}
	peer, err := w.peer("")
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := w.attempt(h.invite(), peer, "", tuesday)
	if err != nil {
		c.t.Fatal(err)
	}
	done := make(chan struct{})
	c.newGate(w).Judge(a, func(policy.Ruling) { close(done) })
	<-done
}

// everyEndpoint says by hand which role may do what: the program's own table is
// held against it.
var everyEndpoint = map[string]string{
	"POST /v1/facts":                "editor admin bound",
	"POST /v1/objections":           "editor admin bound",
	"POST /v1/numbers/query":        "analyst editor auditor admin bound",
	"POST /v1/erasures":             "admin",
	"POST /v1/decide":               "analyst editor auditor admin",
	"GET /v1/decisions":             "advertiser viewer analyst editor auditor admin bound",
	"GET /v1/decisions/{seq}":       "advertiser viewer analyst editor auditor admin bound",
	"POST /v1/imports":              "editor admin",
	"GET /v1/imports":               "editor admin",
	"GET /v1/imports/{id}":          "editor admin",
	"GET /v1/imports/{id}/rejects":  "editor admin",
	"POST /v1/scrub":                "analyst editor auditor admin",
	"POST /v1/proofs":               "advertiser auditor admin",
	"GET /v1/ledger/checkpoint":     "auditor admin",
	"GET /v1/lookups":               "auditor admin",
	"GET /v1/state":                 "viewer analyst editor auditor admin",
	"GET /v1/carriers":              "viewer analyst editor auditor admin",
	"GET /v1/peers":                 "viewer analyst editor auditor admin",
	"GET /v1/cases":                 "viewer analyst editor auditor admin",
	"GET /v1/imports/{id}/preview":  "editor admin",
	"POST /v1/imports/{id}/run":     "editor admin",
	"POST /v1/imports/undo":         "editor admin",
	"GET /v1/mappings":              "editor admin",
	"PUT /v1/mappings/{name}":       "editor admin",
	"DELETE /v1/mappings/{name}":    "editor admin",
	"GET /v1/webhooks":              "admin",
	"POST /v1/webhooks":             "admin",
	"DELETE /v1/webhooks/{id}":      "admin",
	"POST /v1/webhooks/{id}/test":   "admin",
	"POST /v1/webhooks/{id}/secret": "admin",
	"POST /v1/webhooks/{id}/enable": "admin",
	"GET /v1/config":                "viewer analyst editor auditor admin",
	"GET /v1/rules":                 "viewer analyst editor auditor admin",
	"POST /v1/reload":               "admin",
	"GET /v1/tokens":                "admin",
	"POST /v1/tokens":               "admin",
	"DELETE /v1/tokens/{id}":        "admin",
}

// TestEveryEndpointWithEveryRole: who may not do a thing is told so, whatever
// else is wrong with the request; who has no token gets nowhere; and no
// endpoint is missing from the table.
func TestEveryEndpointWithEveryRole(t *testing.T) {
	c := startConsole(t)
	status, text := c.ask("", "GET", "/openapi.json", "", "")
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Description, Summary string }
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil || status != 200 || document.OpenAPI != "3.1.0" {
		t.Fatal(status, err)
	}
	seen := 0
	for path, methods := range document.Paths {
		for method, operation := range methods {
			endpoint := strings.ToUpper(method) + " " + path
			roles, ok := everyEndpoint[endpoint]
			if !ok {
				t.Errorf("%s is not in the table of the test", endpoint)
			}
			seen++
			for _, role := range access.Roles() {
				if may := strings.Contains(" "+roles+" ", " "+string(role)+" "); may != strings.Contains(operation.Description, string(role)) {
					t.Errorf("%s: the document says %q of %s", endpoint, operation.Description, role)
				}
			}
		}
	}
	if seen != len(everyEndpoint) {
		t.Errorf("%d endpoints in the document, %d in the table", seen, len(everyEndpoint))
	}
	for endpoint, roles := range everyEndpoint {
		method, path, _ := strings.Cut(endpoint, " ")
		path = strings.NewReplacer("{seq}", "999999", "{id}", "none", "{name}", "none").Replace(path)
		if status, text := c.ask("", method, path, "application/json", "{}"); status != http.StatusUnauthorized || !strings.Contains(text, `"status":401`) {
			t.Errorf("%s without a token: %d %s", endpoint, status, text)
		}
		for _, role := range append(access.Roles(), "bound") {
			token := c.tokens[role]
			if role == "bound" {
				token = c.bound
			}
			status, text := c.ask(token, method, path, "application/json", "[")
			may := slices.Contains(strings.Fields(roles), string(role))
			if forbidden := status == http.StatusForbidden; forbidden == may || status >= 500 {
				t.Errorf("%s as %s: %d %s", endpoint, role, status, text)
			}
		}
	}
	for _, wrong := range []string{"nonsense", c.tokens[access.Admin] + "x", c.tokens[access.Admin][1:]} {
		if status, text := c.ask(wrong, "GET", "/v1/state", "", ""); status != http.StatusUnauthorized {
			t.Errorf("with the token %q: %d %s", wrong, status, text)
		}
	}
	for _, path := range []string{"/v1/", "/v1/nothing", "/v1/facts"} {
		if status, _ := c.ask(c.tokens[access.Admin], "GET", path, "", ""); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}

// TestAnObjectionThroughTheAPIBindsTheNextCall, and a second time it changes nothing.
func TestAnObjectionThroughTheAPIBindsTheNextCall(t *testing.T) {
	c := startConsole(t)
	const body = `{"id":"o-1","number":"0612345678","via":"agent"}`
	c.judgeOne("+31205550100", "+31612345678", "before")
	if got := c.as(access.Editor, "POST", "/v1/objections", body, 201); !strings.Contains(got, `"id":"o-1"`) {
		t.Error(got)
	}
	c.judgeOne("+31205550100", "+31612345678", "after")
	if got := c.as(access.Editor, "POST", "/v1/objections", strings.Replace(body, `,"via"`, `,"at":"2026-11-24T14:00:00+01:00","via"`, 1), 200); !strings.Contains(got, `"known":true`) {
		t.Error(got)
	}
	if got := c.as(access.Editor, "POST", "/v1/objections", strings.Replace(body, "agent", "letter", 1), 409); !strings.Contains(got, "says something else") {
		t.Error(got)
	}
	page := c.as(access.Viewer, "GET", "/v1/decisions", "", 200)
	if strings.Contains(page, "612345678") || strings.Index(page, `"objected"`) > strings.Index(page, `"no-consent"`) || !strings.Contains(page, `"objected"`) || !strings.Contains(page, "+316******78") {
		t.Error(page)
	}
	if got := c.as(access.Viewer, "GET", "/v1/decisions?reason=objected", "", 200); strings.Count(got, `"seq"`) != 1 {
		t.Error(got)
	}
}

// TestErrorsListEverything with its path.
func TestErrorsListEverything(t *testing.T) {
	c := startConsole(t)
	got := c.as(access.Editor, "POST", "/v1/facts", `{"kind":"consent","number":"+31612345678","purposes":["sales"],"evidence":{"sha256":"zz"},"colour":"red"}`, 422)
	var p struct {
		Type   string
		Errors []struct{ Path, Detail string }
	}
	if err := json.Unmarshal([]byte(got), &p); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range p.Errors {
		paths = append(paths, e.Path)
	}
	for _, want := range []string{"purposes", "evidence.sha256", "colour"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is not told of: %s", want, got)
		}
	}
	if got := c.as(access.Viewer, "GET", "/v1/decisions?verdict=maybe&limit=0&from=yesterday&cursor=x", "", 422); strings.Count(got, `"path"`) != 4 {
		t.Error(got)
	}
	if got := c.as(access.Analyst, "POST", "/v1/decide", `{"peer":"nobody","headers":["a\r\nb: c"]}`, 422); strings.Count(got, `"path"`) != 4 {
		t.Error(got)
	}
	c.as(access.Editor, "POST", "/v1/objections", `{"number":"+31612345678","colour":1}`, 422)
	c.as(access.Editor, "POST", "/v1/objections", `{"number":`, 400)
	c.as(access.Editor, "POST", "/v1/objections", `{"number":"`+strings.Repeat("1", 2<<20)+`"}`, 413)
	if status, _ := c.ask(c.tokens[access.Editor], "POST", "/v1/objections", "text/plain", `{}`); status != 415 {
		t.Error(status)
	}
	text, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.path, bytes.ReplaceAll(text, []byte("objection_offered"), []byte("objection_ofered")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.as(access.Admin, "POST", "/v1/reload", "", 422); strings.Count(got, "did you mean") != 2 || !strings.Contains(got, `"path":"campaigns[1].objection_ofered"`) {
		t.Error(got)
	}
	if got := c.as(access.Viewer, "GET", "/v1/config", "", 200); !strings.Contains(got, `"failed"`) {
		t.Error(got)
	}
}

// TestManyFactsAreAnsweredLineByLine: good lines go in whatever is wrong with others.
func TestManyFactsAreAnsweredLineByLine(t *testing.T) {
	c := startConsole(t)
	var body strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&body, `{"id":"o%d","kind":"objection","number":"+3161%07d","advertiser":"windkracht","at":"2026-11-24T13:00:00+01:00"}`+"\n", i, i)
	}
	body.WriteString("\n{\"kind\":\"objection\"}\nno json\n" + `{"id":"z","kind":"objection","number":"+31612345678","advertiser":"zonbank","at":"2026-11-24T13:00:00+01:00"}`)
	status, text := c.ask(c.bound, "POST", "/v1/facts", "application/x-ndjson", body.String())
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if status != 200 || len(lines) != 1203 {
		t.Fatal(status, len(lines))
	}
	for i, want := range map[int]string{0: `{"line":1,"id":"o0"}`, 1199: `{"line":1200,"id":"o1199"}`} {
		if lines[i] != want {
			t.Errorf("line %d is %s", i+1, lines[i])
		}
	}
	for i, want := range map[int]string{1200: `"path":"number"`, 1201: "no JSON", 1202: `"advertiser"`} {
		if !strings.Contains(lines[i], `"errors"`) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %s", i+1, lines[i])
		}
	}
	if n := c.store.Counts()[policy.Objection]; n != 1200 {
		t.Errorf("%d objections are kept", n)
	}
	status, text = c.ask(c.bound, "POST", "/v1/facts", "application/x-ndjson", body.String())
	if status != 200 || strings.Count(text, `"known":true`) != 1200 || c.store.Counts()[policy.Objection] != 1200 {
		t.Error("a second time it changed something")
	}
}

// TestLooksAreRecordedAndOthersAreMasked: nobody sees a full number without a
// record of it in the ledger, and an advertiser sees nothing of another.
func TestLooksAreRecordedAndOthersAreMasked(t *testing.T) {
	c := startConsole(t)
	c.as(access.Editor, "POST", "/v1/facts", `{"id":"c1","kind":"consent","number":"+31612345678","advertiser":"zonbank","at":"2026-10-01T10:00:00+02:00","purposes":["commercial"],"products":["savings"],"preticked":false,"bundled":false}`, 201)
	c.judgeOne("+31205550100", "+31612345678", "31612345678-own")
	c.judgeOne("+31205550101", "+31612345678", "others")
	seq := c.store.LedgerEnd()
	own := c.as(access.Advertiser, "GET", "/v1/decisions", "", 200)
	if strings.Count(own, `"seq"`) != 1 || !strings.Contains(own, `"reason":"no-consent"`) || strings.Contains(own, "findings") || strings.Contains(own, "zonbank") || strings.Contains(own, "12345678") {
		t.Error(own)
	}
	c.as(access.Advertiser, "GET", fmt.Sprintf("/v1/decisions/%d", seq), "", 404)
	c.as(access.Advertiser, "GET", "/v1/decisions?reason=consent-other-advertiser", "", 422)
	c.as(access.Advertiser, "GET", fmt.Sprintf("/v1/decisions/%d?full=true", seq-1), "", 403)
	c.as(access.Viewer, "GET", fmt.Sprintf("/v1/decisions/%d?full=true", seq), "", 403)
	if got := c.as(access.Viewer, "GET", fmt.Sprintf("/v1/decisions/%d", seq), "", 200); strings.Contains(got, "12345678") {
		t.Error(got)
	}
	if got := c.as(access.Analyst, "GET", fmt.Sprintf("/v1/decisions/%d?full=true", seq), "", 200); !strings.Contains(got, `"to":"+31612345678"`) {
		t.Error(got)
	}
	view := c.as(access.Auditor, "POST", "/v1/numbers/query", `{"number":"0612345678"}`, 200)
	if !strings.Contains(view, `"id":"c1"`) || strings.Count(view, `"seq"`) != 2 || strings.Count(view, `"campaign":"energy"`) != 2 {
		t.Error(view)
	}
	_, view = c.ask(c.bound, "POST", "/v1/numbers/query", "application/json", `{"number":"0612345678"}`)
	if strings.Contains(view, "zonbank") || strings.Contains(view, `"c1"`) || strings.Contains(view, "consent-other") || strings.Count(view, `"seq"`) != 1 {
		t.Error(view)
	}
	c.as(access.Analyst, "POST", "/v1/decide", `{"from":"+31205550100","to":"0612345678"}`, 200)
	c.as(access.Auditor, "POST", "/v1/proofs", `{"number":"0612345678","format":"html"}`, 200)
	var who []string
	looks, _, err := c.store.LookUps(0, 99)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range slices.Backward(looks) {
		if l.Number != "+31612345678" || l.Token == "" {
			t.Errorf("%+v", l)
		}
		who = append(who, l.By+": "+l.What)
	}
	if got := c.as(access.Auditor, "GET", "/v1/lookups?limit=2", "", 200); strings.Count(got, `"number":"+316******78"`) != 2 || !strings.Contains(got, `"next"`) || strings.Contains(got, "12345678") {
		t.Error(got)
	}
	if want := fmt.Sprint([]string{"analyst: decision " + fmt.Sprint(seq), "auditor: number", "bound: number", "analyst: decide", "auditor: proof pack"}); fmt.Sprint(who) != want {
		t.Errorf("%q, want %q", who, want)
	}
	if got := c.as(access.Admin, "POST", "/v1/erasures", `{"number":"0612345678","ground":" "}`, 422); !strings.Contains(got, "ground") {
		t.Error(got)
	}
	c.as(access.Admin, "POST", "/v1/erasures", `{"number":"0612345678","ground":"about 0612345678"}`, 422)
	if got := c.as(access.Admin, "POST", "/v1/erasures", `{"number":"0612345678","ground":"request of 24 November"}`, 200); !strings.Contains(got, `"facts":1`) || !strings.Contains(got, `"calls":2`) {
		t.Error(got)
	}
	if looks, _, err = c.store.LookUps(0, 99); err != nil || len(looks) != 5 {
		t.Errorf("%d looks, %v", len(looks), err)
	}
	for _, l := range looks {
		if l.Number != "" {
			t.Errorf("after the erasure: %+v", l)
		}
	}
}

// TestImportThroughTheAPI: dry run, rejects, and the real run.
func TestImportThroughTheAPI(t *testing.T) {
	c := startConsole(t)
	const list = "number,at,via\n0612345601,2026-11-01,=cmd()\n12,2026-11-01,x\n0612345602,2026-11-02,<script>\n"
	for _, dry := range []string{"true", "false"} {
		status, text := c.ask(c.tokens[access.Editor], "POST", "/v1/imports?const.kind=objection&const.advertiser=*&name=../../etc/passwd&dry_run="+dry, "text/csv", list)
		var job struct {
			ID, Name, State string
			Report          struct{ Rows, Added, Rejected int }
		}
		if err := json.Unmarshal([]byte(text), &job); err != nil || status != 202 || job.Name != "passwd" {
			t.Fatal(status, text)
		}
		for range 500 {
			if text = c.as(access.Editor, "GET", "/v1/imports/"+job.ID, "", 200); strings.Contains(text, `"state":"done"`) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if !strings.Contains(text, `"rows":3,"added":2,"known":0,"rejected":1`) {
			t.Error(text)
		}
		if got := c.as(access.Editor, "GET", "/v1/imports/"+job.ID+"/rejects", "", 200); !strings.Contains(got, "3,number,") {
			t.Error(got)
		}
		want := int64(2)
		if dry == "true" {
			want = 0
		}
		if n := c.store.Counts()[policy.Objection]; n != want {
			t.Errorf("dry_run=%s: %d objections", dry, n)
		}
	}
	for _, id := range []string{"..%2f..%2faccess.json", "....", "%00"} {
		c.as(access.Editor, "GET", "/v1/imports/"+id+"/rejects", "", 404)
	}
	c.as(access.Editor, "POST", "/v1/imports", "", 422)
	if got := c.as(access.Editor, "GET", "/v1/imports", "", 200); strings.Count(got, `"id"`) != 2 {
		t.Error(got)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(c.path), "data", "uploads", "*"))
	if err != nil || len(left) != 3 { // the rejects of both, and the file of the dry run
		t.Errorf("%v, %v", left, err)
	}
}

// TestScrubThroughTheAPI is the same list as from the command line.
func TestScrubThroughTheAPI(t *testing.T) {
	c := startConsole(t)
	status, text := c.ask(c.tokens[access.Analyst], "POST", "/v1/scrub?campaign=energy", "text/csv", "name;number\nA;0612345601\nB;12\n")
	if want := "name;number;verdict;reason;valid-until\nA;0612345601;deny;no-consent;\nB;12;deny;callee-invalid;\n"; status != 200 || text != want {
		t.Errorf("%d %q", status, text)
	}
	for query, want := range map[string]int{"": 422, "campaign=none": 422, "campaign=energy&at=x": 422} {
		if status, text := c.ask(c.tokens[access.Analyst], "POST", "/v1/scrub?"+query, "text/csv", "number\n0612345601\n"); status != want {
			t.Errorf("%s: %d %s", query, status, text)
		}
	}
	c.as(access.Analyst, "POST", "/v1/scrub?campaign=energy", "", 422)
}

// TestTheStreamTellsOfNewCalls and of nothing that its listener may not know.
func TestTheStreamTellsOfNewCalls(t *testing.T) {
	c := startConsole(t)
	c.judgeOne("+31205550100", "+31612345601", "old")
	res := c.open(c.tokens[access.Advertiser], "GET", "/v1/decisions?follow=true", "", nil)
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatal(kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Scan() // retry
	for i := range 3 {
		c.judgeOne("+31205550101", "+31612345602", fmt.Sprint("others-", i))
		c.judgeOne("+31205550100", "+31612345603", fmt.Sprint("own-", i))
	}
	var got []string
	for len(got) < 3 && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			got = append(got, data)
		}
	}
	for i, data := range got {
		if !strings.Contains(data, fmt.Sprintf(`"call_id":"own-%d"`, i)) || strings.Contains(data, "12345603") {
			t.Error(data)
		}
	}
}

// TestTokensThroughTheAPI: made, used, revoked.
func TestTokensThroughTheAPI(t *testing.T) {
	c := startConsole(t)
	var made struct{ ID, Token string }
	if err := json.Unmarshal([]byte(c.as(access.Admin, "POST", "/v1/tokens", `{"name":"crm","role":"viewer"}`, 201)), &made); err != nil {
		t.Fatal(err)
	}
	if status, _ := c.ask(made.Token, "GET", "/v1/state", "", ""); status != 200 {
		t.Error(status)
	}
	if got := c.as(access.Admin, "GET", "/v1/tokens", "", 200); strings.Contains(got, "hash") || strings.Contains(got, made.Token) || !strings.Contains(got, made.ID) {
		t.Error(got)
	}
	c.as(access.Admin, "POST", "/v1/tokens", `{"name":"crm","role":"king"}`, 422)
	c.as(access.Admin, "DELETE", "/v1/tokens/"+made.ID, "", 204)
	c.as(access.Admin, "DELETE", "/v1/tokens/"+made.ID, "", 404)
	if status, _ := c.ask(made.Token, "GET", "/v1/state", "", ""); status != 401 {
		t.Error(status)
	}
	// Who guesses waits, and keeps nobody waiting who has a token or a password.
	for range 40 {
		c.ask("dgt_guess_guess", "GET", "/v1/state", "", "")
	}
	if status, text := c.ask("dgt_guess_guess", "GET", "/v1/state", "", ""); status != 429 {
		t.Error(status, text)
	}
	if status, text := c.ask(c.tokens[access.Admin], "GET", "/v1/state", "", ""); status != 200 {
		t.Error(status, text)
	}
	c.visit(access.Viewer)
}

// TestNobodyStartsOpen: a console that can be reached from elsewhere needs
// somebody with access before, and asks for a token before it tells metrics.
func TestNobodyStartsOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "dialgate.yaml")
	authority := testca.New(t)
	cert, key := authority.Issue("console", "127.0.0.1")
	text := strings.Replace(fmt.Sprintf(consoleText, filepath.Join(dir, "data")), `"127.0.0.1:0"}`+"\nstore", fmt.Sprintf(`"0.0.0.0:0", certificate: %q, key: %q}`+"\nstore", cert, key), 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	s := streams{in: strings.NewReader("correct horse battery\n"), out: &out, err: &errs}
	w, err := loadAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	o := nodeOptions{now: time.Now, log: slog.New(slog.DiscardHandler)}
	if n, err := startNode(w, o); err == nil || !strings.Contains(err.Error(), "dialgate person add") {
		t.Fatal(n, err)
	}
	if status := run([]string{"person", "-c", path, "add", "an", "--role", "admin"}, s); status != exitOK {
		t.Fatal(errs.String())
	}
	n, err := startNode(w, o)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	pem, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for path, want := range map[string]int{"/metrics": 401, "/healthz": 200, "/v1/state": 401} {
		res, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", n.http.Port(), path))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
		if res.Header.Get("Strict-Transport-Security") == "" && strings.HasPrefix(path, "/v1") {
			t.Error("no Strict-Transport-Security")
		}
	}
}
