package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/console/access"
)

// An ear is a program that is told of events.
type ear struct {
	*httptest.Server
	mu    sync.Mutex
	heard []string // bodies
}

func listenForHooks(t *testing.T) *ear {
	e := &ear{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, r.Header.Get("webhook-id")+" "+string(body))
	}))
	t.Cleanup(e.Close)
	return e
}

// await waits for so many events.
func (e *ear) await(t *testing.T, n int) []string {
	t.Helper()
	for range 4000 {
		e.mu.Lock()
		heard := append([]string{}, e.heard...)
		e.mu.Unlock()
		if len(heard) >= n {
			return heard
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d events do not come: %q", n, e.heard)
	return nil
}

// hookTest is a console whose webhooks may go to this host.
func hookTest(t *testing.T) *consoleTest {
	return startConsole(t, `api: {address: "127.0.0.1:0", webhooks_to: [127.0.0.1]}`)
}

func (c *consoleTest) makeHook(body string) string {
	c.t.Helper()
	var made struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(c.as(access.Admin, "POST", "/v1/webhooks", body, 201)), &made); err != nil || !strings.HasPrefix(made.Secret, "whsec_") {
		c.t.Fatal(made, err)
	}
	return made.ID
}

// TestWebhooksTellWhatTheirRoleMaySee: of decisions and objections, in the order
// of the ledger, nothing of another advertiser, and full numbers only with a
// look-up on record.
func TestWebhooksTellWhatTheirRoleMaySee(t *testing.T) {
	t.Parallel()
	c := hookTest(t)
	ears := map[access.Role]*ear{}
	for _, role := range []access.Role{access.Viewer, access.Analyst, access.Advertiser} {
		e := listenForHooks(t)
		ears[role] = e
		bound := ""
		if role == access.Advertiser {
			bound = `,"advertiser":"windkracht"`
		}
		c.makeHook(fmt.Sprintf(`{"name":"crm","url":%q,"role":%q,"events":["objection","decision"]%s}`, e.URL, role, bound))
	}
	refused := listenForHooks(t)
	c.makeHook(fmt.Sprintf(`{"name":"refused","url":%q,"role":"viewer","events":["decision"],"verdict":"deny","campaign":"bank"}`, refused.URL))

	c.as(access.Editor, "POST", "/v1/facts", `{"id":"c1","kind":"consent","number":"+31612345678","advertiser":"zonbank","at":"2026-10-01T10:00:00+02:00","purposes":["commercial"],"products":["savings"],"preticked":false,"bundled":false}`, 201)
	c.judgeOne("+31205550100", "+31612345678", "own")
	c.as(access.Editor, "POST", "/v1/objections", `{"id":"o-31612345678","number":"0612345678","advertiser":"zonbank","via":"letter of 0612345678"}`, 201)
	c.judgeOne("+31205550101", "+31612345678", "others")
	c.as(access.Editor, "POST", "/v1/objections", `{"id":"o2","number":"0612345678"}`, 201)

	full := ears[access.Analyst].await(t, 4)
	for i, want := range []string{`"type":"decision.deny"`, `"type":"objection.recorded"`, `"type":"decision.deny"`, `"type":"objection.recorded"`} {
		if !strings.Contains(full[i], want) || !strings.Contains(full[i], `"+31612345678"`) || !strings.HasPrefix(full[i], "evt_") {
			t.Errorf("the analyst's event %d is %s", i, full[i])
		}
	}
	masked := ears[access.Viewer].await(t, 4)
	own := ears[access.Advertiser].await(t, 2)
	for _, event := range append(masked, own...) {
		if strings.Contains(event, "12345678") || !strings.Contains(event, `"masked":true`) {
			t.Errorf("a number in full: %s", event)
		}
	}
	if !strings.Contains(masked[0], "consent-other-advertiser") || !strings.Contains(own[0], `"reason":"no-consent"`) || strings.Contains(own[0], "findings") || !strings.Contains(own[1], `"advertiser":"*"`) {
		t.Errorf("%q", own)
	}
	for i, event := range masked {
		if id, _, _ := strings.Cut(event, " "); !strings.HasPrefix(full[i], id) {
			t.Errorf("event %d has another id at another endpoint", i)
		}
	}
	if got := refused.await(t, 1); len(got) != 1 || !strings.Contains(got[0], `"campaign":"bank"`) {
		t.Errorf("%q", got)
	}
	looks, _, err := c.store.LookUps(0, 99)
	if err != nil || len(looks) != 4 || looks[0].By != "webhook crm" || looks[0].Number != "+31612345678" || looks[0].Role != "analyst" {
		t.Errorf("%+v %v", looks, err)
	}
	if len(ears[access.Viewer].await(t, 4)) != 4 || len(ears[access.Advertiser].await(t, 2)) != 2 {
		t.Error("a look-up was told of")
	}
}

// TestWebhooksThroughTheAPI: what is wrong is listed whole; made, tested, given
// a new secret, removed; no secret is told twice.
func TestWebhooksThroughTheAPI(t *testing.T) {
	c := hookTest(t)
	got := c.as(access.Admin, "POST", "/v1/webhooks", `{"name":"","url":"http://10.0.0.1/","role":"admin","advertiser":"nobody","events":["calls"],"verdict":"maybe","reason":"none","colour":1,"campaign":7}`, 422)
	if strings.Count(got, `"path"`) != 2 || !strings.Contains(got, `"colour"`) || !strings.Contains(got, `"campaign"`) {
		t.Error(got)
	}
	got = c.as(access.Admin, "POST", "/v1/webhooks", `{"name":"","url":"http://10.0.0.1/","role":"admin","advertiser":"nobody","events":["calls"],"verdict":"maybe","reason":"none"}`, 422)
	for _, path := range []string{"name", "url", "role", "advertiser", "events[0]", "verdict", "reason"} {
		if !strings.Contains(got, `"path":"`+path+`"`) {
			t.Errorf("%s is not told of: %s", path, got)
		}
	}
	c.as(access.Admin, "POST", "/v1/webhooks", `{"name":"a","url":"https://crm.example/","role":"advertiser","advertiser":"windkracht","events":["decision"],"reason":"consent-other-advertiser"}`, 422)
	e := listenForHooks(t)
	id := c.makeHook(fmt.Sprintf(`{"name":"crm","url":%q,"role":"viewer","events":["decision"]}`, e.URL))
	if got := c.as(access.Admin, "GET", "/v1/webhooks", "", 200); strings.Contains(got, "whsec_") || !strings.Contains(got, id) || !strings.Contains(got, `"state":"working"`) {
		t.Error(got)
	}
	if got := c.as(access.Admin, "POST", "/v1/webhooks/"+id+"/test", "", 200); !strings.Contains(got, `"delivered":true,"status":200`) {
		t.Error(got)
	}
	if got := e.await(t, 1); !strings.Contains(got[0], `"type":"test"`) {
		t.Error(got)
	}
	if got := c.as(access.Admin, "POST", "/v1/webhooks/"+id+"/secret", "", 201); !strings.Contains(got, "whsec_") {
		t.Error(got)
	}
	if got := c.as(access.Admin, "GET", "/v1/webhooks", "", 200); !strings.Contains(got, "both_until") {
		t.Error(got)
	}
	c.as(access.Admin, "POST", "/v1/webhooks/"+id+"/enable", `{"skip":true}`, 204)
	e.Close()
	if got := c.as(access.Admin, "POST", "/v1/webhooks/"+id+"/test", "", 200); !strings.Contains(got, `"delivered":false`) || !strings.Contains(got, "refused") {
		t.Error(got)
	}
	c.as(access.Admin, "DELETE", "/v1/webhooks/"+id, "", 204)
	for _, path := range []string{"/test", "/secret", "/enable"} {
		c.as(access.Admin, "POST", "/v1/webhooks/"+id+path, "{}", 404)
	}
}

// TestAnEndpointThatHangsHoldsNothingUp: calls are judged as before, and the
// console answers.
func TestAnEndpointThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := hookTest(t)
	hang := make(chan struct{})
	e := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer e.Close()
	defer close(hang)
	c.makeHook(fmt.Sprintf(`{"name":"hangs","url":%q,"role":"viewer","events":["decision"]}`, e.URL))
	began := time.Now()
	for i := range 200 {
		c.judgeOne("+31205550100", "+31612345678", fmt.Sprint("call-", i))
	}
	if took := time.Since(began); took > time.Minute { // the endpoint is given 15 s for one
		t.Errorf("200 calls took %s", took)
	}
	if got := c.as(access.Admin, "GET", "/v1/webhooks", "", 200); !strings.Contains(got, `"delivered":0`) {
		t.Error(got)
	}
}

var secretShown = regexp.MustCompile(`whsec_[^<]+`)

// TestWebhooksThroughThePages: made, tested, removed by an administrator.
func TestWebhooksThroughThePages(t *testing.T) {
	t.Parallel()
	c := hookTest(t)
	v := c.visit(access.Admin)
	e := listenForHooks(t)
	if status, text := v.post("/settings/webhooks", url.Values{"name": {"crm"}, "url": {"http://10.0.0.1/"}, "role": {"viewer"}, "event": {"decision"}}); status != 422 || !strings.Contains(text, "api.webhooks_to") {
		t.Error(status, text)
	}
	_, text := v.post("/settings/webhooks", url.Values{"name": {"crm"}, "url": {e.URL}, "role": {"viewer"}, "event": {"decision", "objection"}})
	if !secretShown.MatchString(text) {
		t.Fatal(text)
	}
	if _, text = v.get("/settings/webhooks"); secretShown.MatchString(text) {
		t.Error("the secret is shown twice")
	}
	page := regexp.MustCompile(`/settings/webhooks/[0-9a-f]{12}`).FindString(text)
	for do, want := range map[string]string{"test": "The test was taken: 200", "rotate": "has a new secret", "enable": "goes on from where it stood", "skip": "from now on"} {
		if _, text := v.post(page, url.Values{"do": {do}}); !strings.Contains(text, want) {
			t.Errorf("%s: %s", do, text)
		}
	}
	if status, _ := v.post(page, url.Values{"do": {"nonsense"}}); status != 400 {
		t.Error(status)
	}
	if _, text := v.post(page, url.Values{"do": {"remove"}}); !strings.Contains(text, "There is no webhook") {
		t.Error(text)
	}
	if status, _ := v.post(page, url.Values{"do": {"test"}}); status != 404 {
		t.Error(status)
	}
}
