package main

import (
	"bufio"
	"regexp"
	"strings"
	"testing"

	"dialgate/console/access"
)

// ownIs replaces what two calls never have in common, whatever is known.
var ownIs = regexp.MustCompile(`"(seq|id|call_id|at|us)":("[^"]*"|\d+),?|;?id=[-0-9a-f]{36}|\+?316[*0-9]{8}|(?m)^(Via|To|Call-ID|Warning: 399 \S+|id): ?.*$`)

// TestNoOutletTellsOfAnotherAdvertiser: of two numbers another advertiser has a
// consent and a relationship with one. Calls to both, by people and by machines,
// are answered alike, and an advertiser reads the same of both wherever it may
// read.
func TestNoOutletTellsOfAnotherAdvertiser(t *testing.T) {
	c := startConsole(t, `campaigns: [{id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}, {id: machine, advertiser: windkracht, purpose: commercial, mode: robocall, products: [energy], callers: ["+31205550102"], objection_offered: true}, {id: bank, advertiser: zonbank, purpose: commercial, products: [savings], callers: ["+31205550101"], objection_offered: true}]`,
		`api: {address: "127.0.0.1:0", webhooks_to: [127.0.0.1]}`)
	const nobodys, theirs = "+31611111111", "+31622222222"
	for _, fact := range []string{
		`{"id":"c1","kind":"consent","number":"` + theirs + `","advertiser":"zonbank","at":"2026-10-01T10:00:00+02:00","valid_until":"2026-12-01T03:00:00+01:00","purposes":["commercial"],"products":["savings"],"channels":["voice","robocall"],"preticked":false,"bundled":false}`,
		`{"id":"r1","kind":"relationship","number":"` + theirs + `","advertiser":"zonbank","at":"2026-10-01T10:00:00+02:00","type":"sale","started":"2026-10-01","products":["savings"]}`,
	} {
		c.as(access.Editor, "POST", "/v1/facts", fact, 201)
	}
	ear := listenForHooks(t)
	c.makeHook(`{"name":"crm","url":"` + ear.URL + `","role":"advertiser","advertiser":"windkracht","events":["decision"],"reason":"robocall-needs-consent"}`)
	stream := c.open(c.tokens[access.Advertiser], "GET", "/v1/decisions?follow=true", "", nil)
	defer stream.Body.Close()
	events := bufio.NewScanner(stream.Body)

	alike := func(what, of, withOthers string) {
		t.Helper()
		if of, withOthers = ownIs.ReplaceAllString(of, ""), ownIs.ReplaceAllString(withOthers, ""); of != withOthers {
			t.Errorf("%s tells that another advertiser knows the number:\n%s\nin place of\n%s", what, withOthers, of)
		}
	}
	for _, k := range []struct{ caller, reason string }{{"+31205550100", "no-consent"}, {"+31205550102", "robocall-needs-consent"}} {
		answers := [2]string{c.sendWhole(k.caller, nobodys), c.sendWhole(k.caller, theirs)}
		alike("the SIP answer", answers[0], answers[1])
		if !strings.Contains(answers[1], k.reason) {
			t.Errorf("%s is not said in %s", k.reason, answers[1])
		}
		var told []string
		for len(told) < 2 && events.Scan() {
			if strings.HasPrefix(events.Text(), "data: {") {
				told = append(told, events.Text())
			}
		}
		alike("the stream", told[0], told[1])
		list := ownIs.ReplaceAllString(c.as(access.Advertiser, "GET", "/v1/decisions?reason="+k.reason, "", 200), "")
		if found := strings.Split(strings.TrimRight(list, "]},\n"), `{"verdict"`); len(found) != 3 {
			t.Errorf("%d calls have the reason %s: %s", len(found)-1, k.reason, list)
		} else {
			alike("the list", found[2], strings.TrimRight(found[1], "},"))
		}
	}
	heard := ear.await(t, 2)
	alike("the webhook", strings.SplitN(heard[0], " ", 2)[1], strings.SplitN(heard[1], " ", 2)[1])

	// Who may see numbers also reads whether they may be called, and until when.
	c.as(access.Editor, "POST", "/v1/facts", `{"id":"l1","kind":"subscriber","number":"`+nobodys+`","at":"2026-10-01T10:00:00+02:00","subscriber":"legal","legal_form":"bv"}`, 201)
	c.as(access.Editor, "POST", "/v1/facts", `{"id":"l2","kind":"subscriber","number":"`+theirs+`","at":"2026-10-01T10:00:00+02:00","subscriber":"legal","legal_form":"bv"}`, 201)
	var standings [2]string
	for i, number := range []string{nobodys, theirs} {
		_, text := c.ask(c.bound, "POST", "/v1/numbers/query", "application/json", `{"number":"`+number+`"}`)
		_, after, _ := strings.Cut(text, `"standings":`)
		standings[i], _, _ = strings.Cut(after, `]`)
	}
	alike("a number's standing", standings[0], standings[1])
	if strings.Count(standings[1], `"verdict":"allow"`) != 1 || strings.Count(standings[1], `"reason":"robocall-needs-consent"`) != 1 {
		t.Error(standings[1])
	}
}
