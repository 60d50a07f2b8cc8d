package main

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// A visitor is a browser without a screen.
type visitor struct {
	c      *consoleTest
	client *http.Client
}

const testPassword = "correct horse battery"

// visit logs somebody of a role in.
func (c *consoleTest) visit(role access.Role) *visitor {
	c.t.Helper()
	advertiser := ""
	if role == access.Advertiser {
		advertiser = "windkracht"
	}
	name := "person " + string(role)
	if err := c.keys.SetPerson(access.Person{Name: name, Role: role, Advertiser: advertiser}, testPassword, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	v := c.stranger()
	status, text := v.post("/login", url.Values{"name": {name}, "password": {testPassword}})
	if status != 200 || !strings.Contains(text, name) {
		c.t.Fatalf("%s can't log in: %d %s", name, status, text)
	}
	return v
}

func (c *consoleTest) stranger() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &visitor{c, &http.Client{Jar: jar}}
}

func (v *visitor) do(req *http.Request) (int, string, *http.Response) {
	v.c.t.Helper()
	res, err := v.client.Do(req)
	if err != nil {
		v.c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.c.t.Fatal(err)
	}
	return res.StatusCode, string(text), res
}

func (v *visitor) request(method, path, kind string, body io.Reader) *http.Request {
	v.c.t.Helper()
	req, err := http.NewRequestWithContext(v.c.t.Context(), method, v.c.url()+path, body)
	if err != nil {
		v.c.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req
}

func (v *visitor) get(path string) (int, string) {
	status, text, _ := v.do(v.request("GET", path, "", nil))
	return status, text
}

const formType = "application/x-www-form-urlencoded"

func (v *visitor) post(path string, form url.Values) (int, string) {
	status, text, _ := v.do(v.request("POST", path, formType, strings.NewReader(form.Encode())))
	return status, text
}

// everyPage says by hand which role may open what.
var everyPage = map[string]string{
	"/":                      "viewer analyst editor auditor admin advertiser", // who is bound is sent to the calls
	"/now":                   "viewer analyst editor auditor admin",
	"/calls":                 "viewer analyst editor auditor admin advertiser",
	"/calls/1":               "viewer analyst editor auditor admin advertiser",
	"/numbers":               "analyst editor auditor admin",
	"/try":                   "analyst editor auditor admin",
	"/rules":                 "viewer analyst editor auditor admin",
	"/rules?date=2026-06-01": "viewer analyst editor auditor admin",
	"/imports":               "editor admin",
	"/scrub":                 "analyst editor auditor admin",
	"/proofs":                "advertiser auditor admin",
	"/settings/webhooks":     "admin",
	"/proofs/checkpoint":     "auditor admin",
	"/numbers/x":             "analyst editor auditor admin", // it is not there
	"/imports/none":          "editor admin",
	"/imports/none/mapping":  "editor admin",
	"/imports/none/rejects":  "editor admin",
	"/settings":              "viewer analyst editor auditor admin advertiser",
}

// everyForm says by hand who may send what; the others are told that they may not.
var everyForm = map[string]string{
	"/calls/1/number": "analyst editor auditor admin", "/numbers": "analyst editor auditor admin", "/numbers/x/objection": "editor admin", "/numbers/x/fact": "editor admin",
	"/numbers/x/proof": "auditor admin", "/numbers/x/erase": "admin", "/try": "analyst editor auditor admin", "/imports": "editor admin", "/scrub": "analyst editor auditor admin",
	"/imports/none/mapping": "editor admin", "/imports/none/run": "editor admin", "/imports/undo": "editor admin", "/imports/template": "editor admin", "/settings/webhooks": "admin", "/settings/webhooks/none": "admin",
	"/proofs": "advertiser auditor admin", "/settings/token": "admin", "/settings/revoke": "admin", "/settings/person": "admin", "/settings/remove": "admin", "/settings/reload": "admin",
	"/settings/password": "viewer analyst editor auditor admin advertiser",
}

// TestEveryPageWithEveryRole in both languages; nobody gets in without a log-in.
func TestEveryPageWithEveryRole(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	c.judgeOne("+31205550100", "+31612345678", "one")
	nobody := c.stranger()
	nobody.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path := range everyPage {
		if status, text := nobody.get(path); status != http.StatusSeeOther || strings.Contains(text, "31612345678") {
			t.Errorf("GET %s without a log-in: %d", path, status)
		}
	}
	for path := range everyForm {
		if status, _ := nobody.post(path, nil); status != http.StatusSeeOther {
			t.Errorf("POST %s without a log-in: %d", path, status)
		}
	}
	for _, role := range access.Roles() {
		v := c.visit(role)
		for path, roles := range everyPage {
			for _, language := range []string{"en", "nl"} {
				v.post("/look", url.Values{"language": {language}, "to": {"/login"}})
				status, text := v.get(path)
				may := strings.Contains(" "+roles+" ", " "+string(role)+" ")
				missing := strings.Contains(path, "none") || strings.HasSuffix(path, "/x")
				if may != (status == 200 || missing && status == http.StatusNotFound) || !may && status != http.StatusForbidden {
					t.Errorf("GET %s as %s: %d", path, role, status)
				}
				if strings.HasPrefix(text, "<!doctype") && !strings.Contains(text, `<html lang="`+language+`"`) {
					t.Errorf("GET %s as %s is not in %s", path, role, language)
				}
			}
		}
		for path, roles := range everyForm {
			status, _ := v.post(path, nil)
			may := strings.Contains(" "+roles+" ", " "+string(role)+" ")
			if may == (status == http.StatusForbidden) || status >= 500 {
				t.Errorf("POST %s as %s: %d", path, role, status)
			}
		}
	}
	if status, _ := c.visit(access.Admin).get("/nothing"); status != 404 {
		t.Error(status)
	}
}

var handle = regexp.MustCompile(`/numbers/[\w-]{16}/objection`)

// TestTheMainTasks: find a refused call, open its number, add an objection, see
// the next call refused for it, try one, take a proof, erase.
func TestTheMainTasks(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	c.judgeOne("+31205550100", "+31612345678", "one")
	v := c.visit(access.Admin)
	_, text := v.get("/calls?verdict=deny&reason=no-consent&from=2026-11-24T00:00&to=")
	if !strings.Contains(text, "/calls/1") || strings.Contains(text, "12345678") {
		t.Fatal(text)
	}
	if _, text = v.get("/calls/1"); strings.Contains(text, "12345678") || !strings.Contains(text, "nl.basis") || !strings.Contains(text, "316******78") {
		t.Error(text)
	}
	if _, text = v.get("/calls/1?full=true"); !strings.Contains(text, "31612345678") {
		t.Error("the numbers are not in full")
	}
	_, text = v.post("/calls/1/number", nil)
	page := strings.TrimSuffix(handle.FindString(text), "/objection")
	if page == "" || !strings.Contains(text, ">&#43;31612345678<") {
		t.Fatal(text)
	}
	if _, text = v.post(page+"/objection", url.Values{"advertiser": {"*"}, "via": {"letter"}}); !strings.Contains(text, "It is recorded") || !strings.Contains(text, "objected") {
		t.Error(text)
	}
	c.judgeOne("+31205550100", "+31612345678", "two")
	if _, text = v.get("/calls?reason=objected"); strings.Count(text, `href="/calls/`) != 1 {
		t.Error(text)
	}
	if status, text := v.post(page+"/fact", url.Values{"kind": {"consent"}, "advertiser": {"windkracht"}, "fields": {"purposes=sales\nnonsense"}}); status != 422 || !strings.Contains(text, "nonsense") {
		t.Error(status, text)
	}
	if _, text := v.post(page+"/fact", url.Values{"kind": {"subscriber"}, "fields": {"subscriber=legal\nlegal_form=bv"}}); !strings.Contains(text, "legal_form") {
		t.Error(text)
	}
	if _, text = v.post("/try", url.Values{"from": {"+31205550100"}, "to": {"0612345678"}, "at": {"2026-11-24T14:00"}, "headers": {"Privacy: id"}}); !strings.Contains(text, "caller-anonymous") || !strings.Contains(text, "433") {
		t.Error(text)
	}
	if status, _ := v.post("/try", url.Values{"from": {"+31205550100"}, "to": {"0612345678"}, "at": {"tomorrow"}}); status != 422 {
		t.Error(status)
	}
	status, text, res := v.do(v.request("POST", page+"/proof", formType, strings.NewReader("format=html")))
	if status != 200 || !strings.HasPrefix(text, "<!doctype html>") || strings.Contains(res.Header.Get("Content-Disposition"), "345678") {
		t.Error(status, res.Header)
	}
	if status, text = v.post(page+"/erase", url.Values{"ground": {"request 7"}, "again": {"0000"}}); status != 422 || !strings.Contains(text, "last four digits") {
		t.Error(status)
	}
	if _, text = v.post(page+"/erase", url.Values{"ground": {"request 7"}, "again": {"5678"}}); !strings.Contains(text, "Erased: 2 facts and 2 calls. 1 objections") {
		t.Error(text)
	}
	if status, _ = v.get(page); status != 404 {
		t.Error("the page of an erased number is still there")
	}
	if other := c.visit(access.Analyst); other != nil {
		_, text = other.post("/numbers", url.Values{"number": {"06 1234 5679"}})
		if !strings.Contains(text, "31612345679") || strings.Contains(text, "Erase") {
			t.Error(text)
		}
		if status, _ = v.get(regexp.MustCompile(`/numbers/[\w-]{16}`).FindString(text)); status == 200 {
			t.Error("one session opens the address of another")
		}
	}
}

// send sends a form with its file.
func (v *visitor) send(path, name, file string, fields ...string) (int, string) {
	v.c.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			v.c.t.Fatal(err)
		}
	}
	p, err := m.CreateFormFile("file", name)
	if err != nil {
		v.c.t.Fatal(err)
	}
	fmt.Fprint(p, file)
	m.Close()
	status, text, _ := v.do(v.request("POST", path, m.FormDataContentType(), &body))
	return status, text
}

// TestAFileThroughThePages: import with a dry run, its rejects, and a scrubbed list.
func TestAFileThroughThePages(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	v := c.visit(access.Editor)
	const list = "Telefoon;Datum;Naam\n0612345601;24-11-2026;A\n12;24-11-2026;B\n"
	_, text := v.send("/imports", `<script>alert(1)</script>.csv`, list, "kind", "objection", "advertiser", "*", "dates", "dutch", "columns", "Telefoon=number\r\nDatum=at\r\n*=")
	id := regexp.MustCompile(`import`).FindString(text)
	if id == "" || strings.Contains(text, "<script>alert") {
		t.Fatal(text)
	}
	for range 4000 {
		if _, text = v.get("/imports"); strings.Contains(text, "<td>done</td>") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	link := regexp.MustCompile(`/imports/[0-9a-f]{16}`).FindString(text)
	if _, text = v.get(link + "/rejects"); !strings.Contains(text, "3,number,") {
		t.Error(link, text)
	}
	if n := c.store.Counts()[policy.Objection]; n != 1 {
		t.Errorf("%d objections", n)
	}
	if status, text := v.send("/imports", "a.csv", list, "columns", "nonsense"); status != 422 || !strings.Contains(text, "nonsense") {
		t.Error(status, text)
	}
	if status, text := v.send("/scrub", "a.csv", "number\n0612345601\n", "campaign", "energy"); status != 200 || text != "number,verdict,reason,valid-until\n0612345601,deny,objected,\n" {
		t.Error(status, text)
	}
	if status, _ := v.post("/imports", url.Values{"kind": {"objection"}}); status != 422 && status != 415 {
		t.Error(status)
	}
}

// TestNothingInACallIsBelieved: what a dialer writes into a message is shown as
// text, in pages and exports, and kept out of the log.
func TestNothingInACallIsBelieved(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	for i, nasty := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "=cmd()|' /C calc'!A0", "\x1b[31mred", strings.Repeat("A", 10_000), `{{.Who}}`} {
		h := hypothetical{to: "+31612345678", fromHeader: `"` + strings.NewReplacer(`"`, `\"`, "\x1b", "").Replace(nasty) + `" <sip:anonymous@` + "x.invalid>", callID: fmt.Sprint(i, "-", strings.NewReplacer(" ", "", "\x1b", "", "\"", "", "(", "", ")", "").Replace(nasty))}
		w := c.current.Load()
		peer, err := w.peer("")
		if err != nil {
			t.Fatal(err)
		}
		a, err := w.attempt(h.invite(), peer, "", tuesday)
		if err != nil {
			t.Fatal(err)
		}
		a.Caller.Text, a.Called.Text, a.Malformed, a.CallID = nasty, nasty, nasty, nasty // whatever the reader may let through one day
		a.Called.Number = policy.Number{}
		a.Caller.Shown = policy.Number{}
		done := make(chan struct{})
		c.newGate(w).Judge(a, func(policy.Ruling) { close(done) })
		<-done
	}
	v := c.visit(access.Admin)
	for _, path := range []string{"/", "/now", "/calls", "/calls/1", "/calls/2?full=true", "/calls/3", "/calls/4", "/calls/5", "/calls/6", "/calls?peer=%3Cscript%3Ealert(1)%3C/script%3E"} {
		status, text, res := v.do(v.request("GET", path, "", nil))
		if status != 200 || strings.Contains(text, "<script>alert") || strings.Contains(text, "<img") || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %d %s", path, status, text)
		}
		if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: %s", path, policy)
		}
	}
	if got := c.as(access.Viewer, "GET", "/v1/decisions", "", 200); strings.Contains(got, "<script") || strings.Contains(got, "\x1b") {
		t.Error(got)
	}
	if status, text := v.post("/numbers", url.Values{"number": {`"><script>alert(1)</script>`}}); status != 422 || strings.Contains(text, "<script>alert") {
		t.Error(status, text)
	}
}

// TestNoPageOfSomebodyElseCanPost: neither with the cookie, nor to log in.
func TestNoPageOfSomebodyElseCanPost(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	v := c.visit(access.Admin)
	for path := range everyForm {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			req := v.request("POST", path, formType, strings.NewReader("name=x"))
			req.Header.Set(name, value)
			if status, _, _ := v.do(req); status != http.StatusForbidden {
				t.Errorf("%s with %s: %d", path, name, status)
			}
		}
	}
	req := v.request("POST", "/login", formType, strings.NewReader("name=x&password=y"))
	req.Header.Set("Sec-Fetch-Site", "same-site")
	if status, _, _ := v.do(req); status != http.StatusForbidden {
		t.Errorf("a log-in from a neighbour: %d", status)
	}
	// A cookie does not open the API, nor a token the pages.
	if status, _, _ := v.do(v.request("GET", "/v1/state", "", nil)); status != http.StatusUnauthorized {
		t.Errorf("the API with a cookie: %d", status)
	}
	u, err := url.Parse(c.url())
	if err != nil {
		t.Fatal(err)
	}
	_, _, res := c.stranger().do(v.request("POST", "/login", formType, strings.NewReader(url.Values{"name": {"person admin"}, "password": {testPassword}}.Encode())))
	if cookie := res.Request.Response.Header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
		t.Errorf("%s %s", u, cookie)
	}
}

// TestBruteForce: who guesses waits, and a name that nobody has is not told from one.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	c.visit(access.Viewer)
	v := c.stranger()
	_, known := v.post("/login", url.Values{"name": {"person viewer"}, "password": {"wrong"}})
	_, other := v.post("/login", url.Values{"name": {"person unknown"}, "password": {"wrong"}})
	if strings.ReplaceAll(known, "viewer", "unknown") != other {
		t.Error("the answers differ")
	}
	for range 8 {
		v.post("/login", url.Values{"name": {"person viewer"}, "password": {"wrong"}})
	}
	if status, _ := v.post("/login", url.Values{"name": {"person viewer"}, "password": {testPassword}}); status != http.StatusTooManyRequests {
		t.Errorf("%d after many guesses", status)
	}
}

// TestTheFirstLogIn: by the secret that the node has printed, once.
func TestTheFirstLogIn(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	if c.setUp == "" {
		t.Fatal("there is no secret")
	}
	v := c.stranger()
	if _, text := v.get("/"); !strings.Contains(text, `action="/setup"`) {
		t.Fatal(text)
	}
	form := url.Values{"secret": {"wrong"}, "name": {"an"}, "password": {testPassword}}
	if status, _ := v.post("/setup", form); status != http.StatusUnauthorized {
		t.Error(status)
	}
	form.Set("secret", c.setUp)
	form.Set("password", "short")
	if status, text := v.post("/setup", form); status != http.StatusUnprocessableEntity || !strings.Contains(text, "12 characters") {
		t.Error(status, text)
	}
	form.Set("password", testPassword)
	if status, text := v.post("/setup", form); status != 200 || !strings.Contains(text, "admin") {
		t.Error(status, text)
	}
	form.Set("name", "mallory")
	if _, text := c.stranger().post("/setup", form); strings.Contains(text, "mallory") || !strings.Contains(text, `action="/login"`) {
		t.Error("the secret works twice")
	}
	if status, text := v.post("/settings/token", url.Values{"name": {"crm"}, "role": {"viewer"}}); status != 200 || strings.Count(text, "dgt_") != 1 {
		t.Error(status, text)
	}
	if _, text := v.get("/settings"); strings.Contains(text, "dgt_") {
		t.Error("the token is shown twice")
	}
	if status, text := v.post("/settings/remove", url.Values{"name": {"an"}}); status != 422 {
		t.Error(status, text)
	}
	if status, _ := v.post("/settings/password", url.Values{"old": {"wrong"}, "new": {"another long word"}}); status != 422 {
		t.Error(status)
	}
	if _, text := v.post("/settings/password", url.Values{"old": {testPassword}, "new": {"another long word"}}); !strings.Contains(text, "Your password is changed") {
		t.Error(text)
	}
	if _, text := v.post("/logout", nil); !strings.Contains(text, `action="/login"`) {
		t.Error(text)
	}
	if _, text := v.get("/settings"); !strings.Contains(text, `action="/login"`) {
		t.Error("somebody who has logged out is in")
	}
}
