package main

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
)

// TestPagesLeadToEachOther: a call to the fact that it rests on and to its rule,
// a rule to its calls, a number to all its calls, a look-up to the ones before.
func TestPagesLeadToEachOther(t *testing.T) {
	c := startConsole(t)
	c.as(access.Editor, "POST", "/v1/objections", `{"id":"o/1?","number":"+31612345678","advertiser":"*","at":"2026-11-01T10:00:00+01:00"}`, 201)
	for i := range 51 {
		c.judgeOne("+31205550100", "+31612345678", fmt.Sprint("call-", i))
	}
	v := c.visit(access.Auditor)
	_, text := v.get("/calls")
	call := regexp.MustCompile(`/calls/\d+`).FindString(text)
	_, text = v.get(call)
	for _, want := range []string{`<button class="quiet" name="fact" value="o/1?">`, `href="/rules#nl.objection"`, "Decided within"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	_, text, res := v.do(v.request("POST", call+"/number", formType, strings.NewReader(url.Values{"fact": {"o/1?"}}.Encode())))
	if at := res.Request.URL; at.Fragment != "fact-o/1?" || !strings.Contains(text, `id="fact-o/1?"`) {
		t.Error(at, text)
	}
	if n := strings.Count(text, `href="/calls/`); n != 50 {
		t.Errorf("%d calls", n)
	}
	older := regexp.MustCompile(`/numbers/[\w-]{16}\?before=\d+`).FindString(text)
	if _, text = v.get(older); strings.Count(text, `href="/calls/`) != 1 || !strings.Contains(text, "Newest") {
		t.Error(older, text)
	}
	if status, _ := v.get(strings.Split(older, "=")[0] + "=x"); status != 422 {
		t.Error(status)
	}
	if _, text = v.get("/rules"); !strings.Contains(text, `href="/calls?rule=nl.objection"`) || !strings.Contains(text, `id="nl.objection"`) {
		t.Error(text)
	}
	if _, text = v.get("/calls?rule=nl.objection"); strings.Count(text, `href="/calls/`) != 50 {
		t.Error(text)
	}
	for range 20 {
		v.get(strings.Split(older, "?")[0])
	}
	_, text = v.get("/proofs")
	if strings.Count(text, "page of the number") != 20 {
		t.Error(text)
	}
	before := regexp.MustCompile(`/proofs\?cursor=\d+`).FindString(text)
	if _, text = v.get(before); before == "" || strings.Count(text, "page of the number") < 2 || !strings.Contains(text, `href="/proofs"`) {
		t.Error(before, text)
	}
	if _, text = v.post("/numbers", url.Values{"number": {"+31206234513"}}); strings.Contains(text, "no end known") {
		t.Error(text) // nobody may call it
	}
	c.as(access.Editor, "POST", "/v1/facts", `{"kind":"subscriber","number":"+31206234513","at":"2026-11-01","subscriber":"legal","legal_form":"bv"}`, 201)
	if _, text = v.post("/numbers", url.Values{"number": {"+31206234513"}}); !strings.Contains(text, "legal-person") || !strings.Contains(text, "no end known") || strings.Contains(text, "Add another fact") {
		t.Error(text)
	}
	if _, text = c.visit(access.Editor).post("/numbers", url.Values{"number": {"+31206234513"}}); !strings.Contains(text, "<dt><code>evidence.note</code></dt>") {
		t.Error(text)
	}
	// Who may see no numbers is led to none, and who is bound to no rules.
	if _, text = c.visit(access.Viewer).get(call); strings.Contains(text, `name="fact"`) || !strings.Contains(text, "<code>o/1?</code>") {
		t.Error(text)
	}
	if _, text = c.visit(access.Advertiser).get(call); strings.Contains(text, `/rules#`) {
		t.Error(text)
	}
}

// TestTheFirstPageAfterARestart shows the calls of before, and says from when on
// it counts.
func TestTheFirstPageAfterARestart(t *testing.T) {
	c := startConsole(t)
	for i := range 3 {
		c.judgeOne("+31205550100", "+31612345678", fmt.Sprint("call-", i))
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	c.start(slog.New(slog.DiscardHandler))
	v := c.visit(access.Viewer)
	for _, span := range []string{"day", "week"} {
		text := v.await("/?span="+span, `<a href="/calls?reason=no-consent">no-consent</a> <b>3</b>`)
		for _, want := range []string{"Counted from 2026-11-24 14:00 on", `data-renew="/now?span=` + span + `"`, `aria-current="true">` + span, "3 calls of the last week", "3 refused in one hour", "Calls an hour in the last " + span} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %s is not in %s", span, want, text)
			}
		}
	}
	c.judgeOne("+31205550100", "+31612345678", "one-more")
	if _, text := v.get("/now?span=day"); !strings.Contains(text, "<b>4</b>") || strings.Contains(text, "<html") {
		t.Error(text)
	}
	// By the minute only what the last hour held: by the clock, nothing of that day.
	if _, text := v.get("/?span=year"); !strings.Contains(text, `aria-current="true">hour`) || time.Since(tuesday).Abs() > time.Hour && !strings.Contains(text, "<b>1</b>") {
		t.Error(text)
	}
}
