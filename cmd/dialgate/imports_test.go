package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// job is an import or an undo as the API tells of it.
type job struct {
	ID, State, Error string
	Kept             bool
	Report           struct{ Rows, Added, Known, Rejected int }
	Undo             *struct {
		Undone, Stay map[string]int
		Freed        int
		Batches      []string
	}
}

// done waits until a job is.
func (c *consoleTest) done(text string) (j job) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		c.t.Fatal(text, err)
	}
	for range 10_000 {
		text = c.as(access.Editor, "GET", "/v1/imports/"+j.ID, "", 200)
		if err := json.Unmarshal([]byte(text), &j); err != nil {
			c.t.Fatal(err)
		}
		if j.State == "done" || j.State == "failed" {
			return j
		}
		time.Sleep(2 * time.Millisecond)
	}
	c.t.Fatal(text)
	return j
}

func (c *consoleTest) upload(query, file string, want int) string {
	c.t.Helper()
	status, text := c.ask(c.tokens[access.Editor], "POST", "/v1/imports?"+query, "text/csv", file)
	if status != want {
		c.t.Fatal(status, text)
	}
	return text
}

const consents = "Telefoonnummer;Datum;Naam\n0612345601;24-11-2026;A\n12;24-11-2026;B\n"

// TestAFileIsLookedAtBeforeItIsImported: kept, shown with its columns guessed,
// imported by a mapping that has a name, without being sent again.
func TestAFileIsLookedAtBeforeItIsImported(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	var kept job
	if err := json.Unmarshal([]byte(c.upload("keep=true&name=list.csv", consents, 202)), &kept); err != nil || kept.State != "mapping" || !kept.Kept {
		t.Fatal(kept, err)
	}
	got := c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?guess=true&dutch_dates=true&const.kind=objection&const.advertiser=*", "", 200)
	for _, want := range []string{`{"name":"Telefoonnummer","field":"number","guessed":true}`, `{"name":"Datum","field":"at","guessed":true}`, `{"name":"Naam"}`, `"number":"+31612345601"`, `"line":3,"text":"12;24-11-2026;B","errors":[{"path":"number"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if got := c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?column.Datum=when", "", 422); !strings.Contains(got, `"path":"columns"`) {
		t.Error(got)
	}
	c.as(access.Editor, "PUT", "/v1/mappings/crm", `{"columns":{"Telefoonnummer":"number","Datum":"at"},"ignore":["*"],"constants":{"kind":"objection","advertiser":"*"},"dutch_dates":true}`, 200)
	if got := c.as(access.Editor, "PUT", "/v1/mappings/x", `{"columns":{"A":"colour"},"constants":{"b":"c"}}`, 422); strings.Count(got, `"path"`) != 2 {
		t.Error(got)
	}
	if got := c.as(access.Editor, "GET", "/v1/mappings", "", 200); strings.Count(got, `"name"`) != 1 {
		t.Error(got)
	}
	for _, dry := range []string{"true", "false"} {
		j := c.done(c.as(access.Editor, "POST", "/v1/imports/"+kept.ID+"/run?mapping=crm&dry_run="+dry, "", 202))
		if j.Report.Added != 1 || j.Report.Rejected != 1 || j.Kept != (dry == "true") {
			t.Errorf("dry_run=%s: %+v", dry, j)
		}
		if n := c.store.Counts()[policy.Objection]; (n == 0) != (dry == "true") {
			t.Errorf("dry_run=%s: %d objections", dry, n)
		}
	}
	c.as(access.Editor, "POST", "/v1/imports/"+kept.ID+"/run?mapping=crm", "", 409) // it is gone
	c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview", "", 409)
	c.upload("mapping=none", consents, 422)
	c.as(access.Editor, "DELETE", "/v1/mappings/crm", "", 204)
	c.as(access.Editor, "DELETE", "/v1/mappings/crm", "", 404)
	// No more files are kept than there is room for.
	for i := range 6 {
		c.upload(fmt.Sprint("keep=true&name=", i, ".csv"), consents, 202)
	}
	if got := c.as(access.Editor, "GET", "/v1/imports", "", 200); strings.Count(got, `"state":"mapping"`) != 4 || strings.Count(got, "took its place") != 2 {
		t.Error(got)
	}
}

// TestAnImportIsUndone: first as a dry run; what protects stays, unless an
// administrator lifts it with a ground.
func TestAnImportIsUndone(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	const list = "kind,number,advertiser,at,purposes,products,preticked,bundled\n" +
		"consent,+31612345601,windkracht,2026-11-01,commercial,energy,false,false\nconsent,+31612345602,windkracht,2026-11-01,commercial,energy,false,false\nobjection,+31612345603,*,2026-11-01,,,,\n"
	if j := c.done(c.upload("name=list.csv", list, 202)); j.Report.Added != 3 {
		t.Fatalf("%+v", j)
	}
	j := c.done(c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"list.csv","dry_run":true}`, 202))
	if j.Undo.Undone["consent"] != 2 || j.Undo.Stay["objection"] != 1 || c.store.Counts()[policy.Undo] != 0 {
		t.Errorf("%+v", j.Undo)
	}
	if j = c.done(c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"list.csv"}`, 202)); j.Undo.Undone["consent"] != 2 || c.store.Counts()[policy.Undo] != 2 {
		t.Errorf("%+v", j.Undo)
	}
	if got := c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"","lift":true,"ground":"a\nb"}`, 422); strings.Count(got, `"path"`) != 2 {
		t.Error(got)
	}
	c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"list.csv","lift":true}`, 422)
	c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"list.csv","lift":true,"ground":"wrong file"}`, 403)
	if j = c.done(c.as(access.Admin, "POST", "/v1/imports/undo", `{"batch":"list.csv","lift":true,"ground":"wrong file"}`, 202)); j.Undo.Undone["objection"] != 1 {
		t.Errorf("%+v", j.Undo)
	}
	if j = c.done(c.as(access.Editor, "POST", "/v1/imports/undo", `{"batch":"other.csv"}`, 202)); len(j.Undo.Batches) != 1 || j.Undo.Batches[0] != "list.csv" {
		t.Errorf("%+v", j.Undo)
	}
}

// TestMappingAndUndoThroughThePages does both as people do.
func TestMappingAndUndoThroughThePages(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	v := c.visit(access.Editor)
	status, text := v.send("/imports", "leads.csv", consents, "step", "look", "dates", "dutch")
	page := regexp.MustCompile(`/imports/[0-9a-f]{16}/mapping`).FindString(text)
	if status != 200 || page == "" || !strings.Contains(text, "guessed") || !strings.Contains(text, `<option selected>number</option>`) {
		t.Fatal(status, text)
	}
	form := url.Values{"name0": {"Telefoonnummer"}, "column0": {"number"}, "name1": {"Datum"}, "column1": {"at"}, "name2": {"Naam"}, "column2": {""},
		"kind": {"objection"}, "advertiser": {"*"}, "dates": {"dutch"}, "template": {"leads"}, "do": {"look"}}
	if _, text = v.post(page, form); !strings.Contains(text, "&#43;31612345601") || !strings.Contains(text, "number: ") {
		t.Error(text)
	}
	form.Set("do", "keep")
	if _, text = v.post(page, form); !strings.Contains(text, "The template is kept") {
		t.Error(text)
	}
	form.Set("do", "dry")
	v.post(page, form)
	one := strings.TrimSuffix(page, "/mapping")
	text = v.await(one, "done")
	if !strings.Contains(text, "Nothing was changed") || !strings.Contains(text, one+"/run") {
		t.Error(text)
	}
	v.post(one+"/run", nil)
	if v.await(one, "done"); c.store.Counts()[policy.Objection] != 1 {
		t.Error("it is not imported")
	}
	_, text = v.get("/imports")
	if !strings.Contains(text, "<option>leads</option>") {
		t.Error(text)
	}
	// By its template, at once and without a word about columns.
	if _, text = v.send("/imports", "leads2.csv", strings.ReplaceAll(consents, "0612345601", "0612345609"), "template", "leads"); !strings.Contains(text, "leads2.csv") {
		t.Error(text)
	}
	for range 4000 {
		if c.store.Counts()[policy.Objection] == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := c.store.Counts()[policy.Objection]; n != 2 {
		t.Errorf("%d objections", n)
	}
	v.post("/imports/undo", url.Values{"batch": {"leads.csv"}, "do": {"look"}})
	undo := regexp.MustCompile(`imports/[0-9a-f]{16}`).FindString(v.await("/imports", "<td>done</td>"))
	if text = v.await("/"+undo, "done"); !strings.Contains(text, "Stay in force") || !strings.Contains(text, "1 objection") {
		t.Error(text)
	}
	if _, text = v.post("/imports/template", url.Values{"name": {"leads"}}); strings.Contains(text, "<option>leads</option>") {
		t.Error("the template is still there")
	}
}

// await reads a page until it says something.
func (v *visitor) await(path, says string) (text string) {
	v.c.t.Helper()
	for range 4000 {
		if _, text = v.get(path); strings.Contains(text, says) {
			return text
		}
		time.Sleep(5 * time.Millisecond)
	}
	v.c.t.Fatal(text)
	return text
}
