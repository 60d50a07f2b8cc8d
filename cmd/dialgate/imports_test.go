package main

import (
	"encoding/json"
	"fmt"
	"html"
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
		Runs         []struct{ Facts int }
	}
}

// done waits until a job is.
func (c *consoleTest) done(text string) (j job) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		c.t.Fatal(text, err)
	}
	for range 1000 {
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
	c := startConsole(t)
	v := c.visit(access.Editor)
	status, text := v.send("/imports", "leads.csv", consents, "step", "look", "dates", "dutch")
	page := regexp.MustCompile(`/imports/[0-9a-f]{16}/mapping`).FindString(text)
	if status != 200 || page == "" || !strings.Contains(text, "guessed") || !strings.Contains(text, `<option value="number" selected>telephone number · number</option>`) {
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
	for range 500 {
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

// TestTextsOfTheFile: what a file writes in the place of a field's words is
// shown, mapped by the API and by the page, kept with the mapping, and imported.
func TestTextsOfTheFile(t *testing.T) {
	c := startConsole(t)
	const list = "Telefoon;Datum;Soort;Bedrijf;Product;Vooraf aangevinkt;bundled\n0612345601;24-11-2026;Opt-in;Windkracht BV;energy;nee;false\n" +
		"0612345602;24-11-2026;opt-in;Windkracht BV;energy;Ja;false\n0612345603;24-11-2026;Bezwaar;Windkracht BV;;;\n"
	var kept job
	if err := json.Unmarshal([]byte(c.upload("keep=true&name=list.csv", list, 202)), &kept); err != nil {
		t.Fatal(err)
	}
	const values = "&value.kind.Opt-in=consent&value.kind.Bezwaar=objection&value.advertiser.Windkracht%20BV=windkracht&value.preticked.Ja=true&value.preticked.Nee=false&const.purposes=commercial"
	got := c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?guess=true&dutch_dates=true", "", 200)
	for _, want := range []string{`"name":"Soort","field":"kind","guessed":true,"texts":["Opt-in","Bezwaar"],"words":["consent",`, `"texts":["Windkracht BV"],"words":["windkracht","zonbank","*"]`,
		`"texts":["energy"],"words":["energy","savings"]`, `"texts":["nee","Ja"],"words":["true","false"]`, `{"path":"kind",`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	if got = c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?guess=true&dutch_dates=true"+values, "", 200); strings.Count(got, `"fact":`) != 2 || !strings.Contains(got, `"preticked":true`) {
		t.Error(got) // an objection has no purposes
	}
	for _, bad := range []string{"value.colour.a=b", "value.preticked=true"} {
		if got = c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?"+bad, "", 422); !strings.Contains(got, `"path":"value.`) {
			t.Error(got)
		}
	}
	if got = c.as(access.Editor, "GET", "/v1/imports/"+kept.ID+"/preview?value.preticked.ja=true&value.preticked.JA=false", "", 422); !strings.Contains(got, "the same text") {
		t.Error(got)
	}
	if got = c.as(access.Editor, "PUT", "/v1/mappings/x", `{"columns":{},"values":{"colour":{"a":"b"}}}`, 422); !strings.Contains(got, `"path":"values.colour"`) {
		t.Error(got)
	}

	v := c.visit(access.Editor)
	page := "/imports/" + kept.ID + "/mapping"
	_, text := v.get(page)
	for _, want := range []string{`name="valuetext0" value="Opt-in"`, `name="valuetext2" value="Windkracht BV"`, `Dates <span class="tag">guessed</span>`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	form := url.Values{"do": {"look"}, "dates": {"dutch"}}
	for i, column := range []string{"Telefoon=number", "Datum=at", "Soort=kind", "Bedrijf=advertiser", "Product=products", "Vooraf aangevinkt=preticked", "bundled=bundled"} {
		name, field, _ := strings.Cut(column, "=")
		form.Set(fmt.Sprint("name", i), name)
		form.Set(fmt.Sprint("column", i), field)
	}
	for i, means := range []string{"kind Opt-in consent", "kind Bezwaar objection", "advertiser Windkracht+BV windkracht", "preticked nee false", "  ", "preticked Ja true"} {
		parts := strings.Split(means, " ")
		form.Set(fmt.Sprint("valuefield", i), parts[0])
		form.Set(fmt.Sprint("valuetext", i), strings.ReplaceAll(parts[1], "+", " "))
		form.Set(fmt.Sprint("valuemeans", i), parts[2])
	}
	if _, text = v.post(page, form); !strings.Contains(text, `<option selected>consent</option>`) || strings.Count(text, `class="preview"`) != 3 {
		t.Error(text)
	}
	form.Set("template", "optins")
	form.Set("do", "keep")
	if _, text = v.post(page, form); !strings.Contains(text, "The template is kept") {
		t.Error(text)
	}
	if got = c.as(access.Editor, "GET", "/v1/mappings", "", 200); !strings.Contains(got, `"values":{"advertiser":{"Windkracht BV":"windkracht"},"kind":{"Bezwaar":"objection","Opt-in":"consent"},"preticked":{"Ja":"true","nee":"false"}}`) {
		t.Error(got)
	}
	// A column is added to what is kept, and all three rows are taken.
	purposes := "Doel;" + strings.NewReplacer("\n0612345601", "\ncommercial;0612345601", "\n0612345602", "\ncommercial;0612345602", "\n0612345603", "\n;0612345603").Replace(list)
	if j := c.done(c.upload("name=more.csv&mapping=optins&column.Doel=purposes", purposes, 202)); j.Report.Added != 3 {
		t.Errorf("%+v", j)
	}
}

// TestImportsOfOneName: the page and the API undo one import, by its id, and
// leave the other that was called the same.
func TestImportsOfOneName(t *testing.T) {
	c := startConsole(t)
	rows := func(number string) string {
		return "kind,number,advertiser,at,purposes,products,preticked,bundled\nconsent," + number + ",windkracht,2026-11-01,commercial,energy,false,false\n"
	}
	first, second := c.done(c.upload("name=list.csv", rows("+31612345601"), 202)), c.done(c.upload("name=list.csv", rows("+31612345602"), 202))
	third := c.done(c.upload("name=list.csv", rows("+31612345603"), 202))
	undo := func(ask string) job { return c.done(c.as(access.Editor, "POST", "/v1/imports/undo", ask, 202)) }
	if j := undo(`{"batch":"list.csv","dry_run":true}`); j.Undo.Undone["consent"] != 3 || len(j.Undo.Runs) != 1 {
		t.Errorf("%+v", j.Undo) // they came within a minute
	}
	if j := undo(`{"import":"` + second.ID + `"}`); j.Undo.Undone["consent"] != 1 {
		t.Errorf("%+v", j.Undo)
	}
	inForce := func(number string) bool {
		n, err := policy.ParseNumber(number)
		if err != nil {
			t.Fatal(err)
		}
		var f policy.Facts
		if err := c.store.Facts(n, &f); err != nil {
			t.Fatal(err)
		}
		return len(f.InForce().All) == 1
	}
	if !inForce("+31612345601") || inForce("+31612345602") || !inForce("+31612345603") {
		t.Error("another import was undone")
	}
	v := c.visit(access.Editor)
	if _, text := v.get("/imports/" + third.ID); !strings.Contains(text, `name="import" value="`+third.ID+`"`) {
		t.Error(text)
	}
	_, text := v.post("/imports/undo", url.Values{"import": {third.ID}, "do": {"look"}})
	if !strings.Contains(text, "Only what came in from") {
		t.Error(text)
	}
	path := "/imports/" + regexp.MustCompile(`"id":"([0-9a-f]{16})"`).FindStringSubmatch(c.as(access.Editor, "GET", "/v1/imports", "", 200))[1]
	text = v.await(path, `value="undo"`)
	form := url.Values{"do": {"undo"}}
	for _, name := range []string{"batch", "from", "to"} {
		m := regexp.MustCompile(`name="` + name + `" value="([^"/]+)"`).FindStringSubmatch(text)
		if m == nil {
			t.Fatal(name, text)
		}
		form.Set(name, html.UnescapeString(m[1]))
	}
	v.post("/imports/undo", form)
	for range 500 {
		if !inForce("+31612345603") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !inForce("+31612345601") || inForce("+31612345603") {
		t.Error("the page undid another import")
	}
	for ask, path := range map[string]string{
		`{"import":"` + first.ID + `","all":true}`:                                       "import",
		`{"import":"none"}`:                                                              "import",
		`{"import":"` + path[len("/imports/"):] + `"}`:                                   "import",
		`{"batch":"list.csv","from":"2026-11-02T00:00:00Z","to":"2026-11-01T00:00:00Z"}`: "to",
	} {
		if got := c.as(access.Editor, "POST", "/v1/imports/undo", ask, 422); !strings.Contains(got, `"path":"`+path+`"`) {
			t.Errorf("%s: %s", ask, got)
		}
	}
	if status, _ := v.post("/imports/undo", url.Values{"batch": {"list.csv"}, "from": {"yesterday"}}); status != 422 {
		t.Error(status)
	}
}

// await reads a page until it says something.
func (v *visitor) await(path, says string) (text string) {
	v.c.t.Helper()
	for range 500 {
		if _, text = v.get(path); strings.Contains(text, says) {
			return text
		}
		time.Sleep(5 * time.Millisecond)
	}
	v.c.t.Fatal(text)
	return text
}
