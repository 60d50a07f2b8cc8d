package console

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// A tryData is the page that judges a hypothetical call.
type tryData struct {
	From, To, At, Campaign, Peer, Headers string
	State                                 State
	Judged                                *Judged
	Findings                              []findingData
	Callers                               []string
	Reason                                string
}

func (v *view) try() error {
	d := tryData{State: v.s.o.Node.State(), At: v.s.o.Node.Now().In(v.s.o.Node.Zone()).Format("2006-01-02T15:04")}
	d.callers()
	if len(d.Callers) > 0 {
		d.From = d.Callers[0]
	}
	return v.show(http.StatusOK, "try", v.T("Try a call"), d)
}

// FactsAt is the form that a fact is opened by; here the number is opened instead.
func (d tryData) FactsAt() string { return "" }

func (d *tryData) callers() {
	for _, k := range d.State.Campaigns {
		d.Callers = append(d.Callers, k.Callers...)
	}
}

func (v *view) tryDone() error {
	f := v.r.PostFormValue
	d := tryData{From: short(f("from")), To: short(f("to")), At: short(f("at")), Campaign: f("campaign"), Peer: f("peer"), Headers: f("headers"), State: v.s.o.Node.State()}
	d.callers()
	q := Question{From: strings.TrimSpace(f("from")), To: strings.TrimSpace(f("to")), Campaign: d.Campaign, Peer: d.Peer}
	for _, line := range strings.Split(d.Headers, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			q.Headers = append(q.Headers, line)
		}
	}
	var err error
	if d.At != "" {
		if q.At, err = time.ParseInLocation("2006-01-02T15:04", d.At, v.s.o.Node.Zone()); err != nil {
			err = &Invalid{"at", v.T("is no date and time")}
		}
	}
	if err == nil {
		n, bad := v.s.o.Node.Form().Number(q.To)
		if bad != nil {
			n = policy.Number{} // it is judged all the same
		}
		if err = v.s.looksAt(v.Who(), "decide", n, 1); err == nil {
			d.Judged, err = v.s.o.Node.Judge(q)
		}
	}
	status := http.StatusOK
	if err != nil {
		status = http.StatusUnprocessableEntity
		if err := v.wrong(err); err != nil {
			return err
		}
	} else {
		d.Reason = d.Judged.Decision.Reason.String()
		for i := range d.Judged.Decision.Findings {
			f := &d.Judged.Decision.Findings[i]
			one := findingData{Finding: Finding{Rule: f.Rule.ID, Result: f.Result.String(), Mode: f.Mode.String(), Facts: f.Facts()},
				Source: f.Rule.Source, Strength: f.Rule.Strength.String(), Text: f.Rule.English, Decides: d.Judged.Decision.Deciding() == f}
			if v.Lang == "nl" {
				one.Text = f.Rule.Dutch
			}
			if f.Result == policy.Deny || f.Result == policy.Allow {
				one.Reason = f.Reason.String()
			}
			if f.Mode == policy.Enforce {
				one.Mode = ""
			}
			d.Findings = append(d.Findings, one)
		}
		slices.SortStableFunc(d.Findings, func(a, b findingData) int { return weight(b) - weight(a) })
	}
	return v.show(status, "try", v.T("Try a call"), d)
}

// A rulesData is the book on a date.
type rulesData struct {
	Date   string
	Today  string
	Rules  []ruleOnDate
	Spared int // calls that were looked at for what the rules spare
	Cases  []CaseResult
	Config Config
}

// shownCases bounds the acceptance cases on the page.
const shownCases = 500

type ruleOnDate struct {
	ruleView
	Text    string
	InForce bool
	Spared  []sparedFor // calls that went on although it would have refused them
}

// Spares reports whether calls go on that the rule would refuse.
func (r ruleOnDate) Spares() bool { return r.Mode != policy.Enforce.String() && r.Mode != ground }

func (v *view) rules() error {
	zone := v.s.o.Node.Zone()
	d := rulesData{Today: v.s.o.Node.Now().In(zone).Format(time.DateOnly)}
	d.Date = v.r.URL.Query().Get("date")
	date, err := policy.ParseDate(d.Date)
	if err != nil || date == 0 {
		d.Date = d.Today
		date, _ = policy.ParseDate(d.Today) // it was just written
	}
	spared, err := v.s.spared.get(v.s.o.Now(), v.s.readSpared)
	if err != nil {
		return err
	}
	d.Spared = spared.Looked
	for _, r := range v.s.o.Node.Rules() {
		d.Rules = append(d.Rules, ruleOnDate{ruleView: viewRule(r), Text: v.ruleText(r), InForce: r.Applies(date), Spared: spared.byRule[r.ID]})
	}
	d.Cases, d.Config = v.s.o.Node.Cases(), v.s.o.Node.State().Config
	d.Cases = d.Cases[:min(len(d.Cases), shownCases)]
	return v.show(http.StatusOK, "rules", v.T("Rules"), d)
}

// An importsData is the page of imports.
type importsData struct {
	Jobs        []importJob
	Kinds       []policy.Kind
	Advertisers []string
	Templates   []mapping
}

func (v *view) imports() error { return v.showImports(http.StatusOK) }

func (v *view) showImports(status int) error {
	d := importsData{Jobs: v.s.imports.list(), Kinds: policy.Kinds(), Templates: v.s.mappings.list()}
	for id := range v.s.o.Node.State().Names {
		d.Advertisers = append(d.Advertisers, id)
	}
	slices.Sort(d.Advertisers)
	return v.show(status, "imports", v.T("Imports"), d)
}

const maxFields = 64 // of a form with a file

// upload reads the fields of a form up to its file, which comes last. The file
// is read where it is needed, never held in memory.
func (v *view) upload(most int64) (fields map[string]string, file *multipart.Part, err error) {
	if v.r.Body, err = bounded(v.w, v.r, most); err != nil {
		return nil, nil, err
	}
	mr, err := v.r.MultipartReader()
	if err != nil {
		return nil, nil, problem(http.StatusUnsupportedMediaType, v.T("Send the form with its file."))
	}
	fields = map[string]string{}
	for range maxFields {
		p, err := mr.NextPart()
		if err != nil {
			return nil, nil, &Invalid{"file", v.T("choose a file")}
		}
		if p.FileName() != "" || p.FormName() == "file" {
			if p.FileName() == "" {
				return nil, nil, &Invalid{"file", v.T("choose a file")}
			}
			return fields, p, nil
		}
		text, err := io.ReadAll(io.LimitReader(p, 4096))
		if err != nil {
			return nil, nil, err
		}
		fields[p.FormName()] = strings.TrimSpace(string(text))
	}
	return nil, nil, problem(http.StatusBadRequest, v.T("Send the form with its file."))
}

func (v *view) startImport() error {
	v.Name = "imports"
	look := v.r.URL.Query().Get("step") == "look" // it is shown first
	fields, file, err := v.upload(maxUpload)
	if err == nil {
		o := v.s.templateOptions(fields["template"])
		o.Dutch = o.Dutch || fields["dates"] == "dutch"
		for _, name := range constantFields {
			if fields[name] != "" {
				o.Constants[name] = fields[name]
			}
		}
		if err = mapColumns(&o, fields["columns"]); err == nil {
			var j importJob
			if j, err = v.s.imports.add(file, file.FileName(), v.Who().Name, fields["dry"] != "", look, o); err == nil {
				if look {
					return v.away("/imports/" + j.ID + "/mapping?" + url.Values{"template": {fields["template"]}}.Encode())
				}
				return v.away("/imports/" + j.ID)
			}
		}
	}
	if err := v.wrong(err); err != nil {
		return err
	}
	return v.showImports(http.StatusUnprocessableEntity)
}

// mapColumns reads lines of column=field; column= is not read, *= nor are all others.
func mapColumns(o *ImportOptions, text string) error {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		column, name, ok := strings.Cut(line, "=")
		column, name = strings.TrimSpace(column), strings.TrimSpace(name)
		if !ok {
			return &Invalid{"columns", fmt.Sprintf("%q is no column=field", short(line))}
		}
		if o.Columns == nil {
			o.Columns = map[string]string{}
		}
		if name == "" {
			o.Ignore = append(o.Ignore, column)
			continue
		}
		o.Columns[column] = name
	}
	return nil
}

func (v *view) oneImport() error {
	v.Name = "imports"
	j, err := v.s.imports.find(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "import", v.T("One import"), j)
}

func (v *view) rejects() error { return v.s.sendRejects(v.w, v.r.PathValue("id")) }

// Percent is how far an import is.
func (j importJob) Percent() int {
	if j.Octets == 0 {
		return 0
	}
	return int(100 * j.Read / j.Octets)
}

// Over reports whether it is done.
func (j importJob) Over() bool { return j.over() }

// Rests reports whether nothing will happen by itself.
func (j importJob) Rests() bool { return j.over() || j.State == "mapping" }

// A scrubData is the page that judges a list.
type scrubData struct{ Campaigns []CampaignState }

func (v *view) scrub() error { return v.showScrub(http.StatusOK) }

func (v *view) showScrub(status int) error {
	return v.show(status, "scrub", v.T("Scrub"), scrubData{v.s.o.Node.State().Campaigns})
}

func (v *view) scrubDone() error {
	v.Name = "scrub"
	fields, file, err := v.upload(maxList)
	o := ScrubOptions{}
	if err == nil {
		o.Campaign, o.Column = fields["campaign"], fields["column"]
		if fields["at"] != "" {
			if o.At, err = time.ParseInLocation("2006-01-02T15:04", fields["at"], v.s.o.Node.Zone()); err != nil {
				err = &Invalid{"at", v.T("is no date and time")}
			}
		}
	}
	if err == nil {
		err = v.s.looksAt(v.Who(), "scrub for campaign "+short(o.Campaign), policy.Number{}, 0)
	}
	if err == nil {
		if err = v.s.scrubTo(v.w, file, o); err == nil {
			return nil
		}
	}
	if err := v.wrong(err); err != nil {
		return err
	}
	return v.showScrub(http.StatusUnprocessableEntity)
}

// A proofsData is the page of proofs.
type proofsData struct {
	Key    string
	Ledger LedgerState
	Number string
	Looks  []Look
	First  bool   // the newest look-ups
	Next   uint64 // older ones are before it; 0: there are none
}

// Looked says what somebody looked at.
func (v *view) Looked(what string) string {
	if text, ok := lookTexts[what]; ok {
		return v.T(text)
	}
	if seq, ok := strings.CutPrefix(what, "decision "); ok {
		return v.T("call of record %s", seq)
	}
	if campaign, ok := strings.CutPrefix(what, "scrub for campaign "); ok {
		return v.T("list for the campaign %s", campaign)
	}
	return what
}

// lookTexts are looks in words.
var lookTexts = map[string]string{"number": "page of the number", "decide": "hypothetical call", "proof pack": "proof pack"}

func (v *view) proofs() error { return v.showProofs(http.StatusOK, "") }

func (v *view) showProofs(status int, number string) error {
	key, err := v.s.o.Node.PublicKey()
	if err != nil {
		return err
	}
	q := &query{r: v.r}
	before := q.cursor()
	if err := q.err(); err != nil {
		return err
	}
	d := proofsData{Key: key, Number: number, First: before == 0}
	if v.May("proof") {
		if d.Looks, d.Next, err = v.s.looks(before, 20); err != nil {
			return err
		}
		d.Ledger = v.s.o.Node.State().Ledger
	}
	return v.show(status, "proofs", v.T("Proofs"), d)
}

func (v *view) makeProof() error {
	v.Name = "proofs"
	text := v.r.PostFormValue("number")
	n, err := v.s.number("number", text)
	if err != nil {
		v.Wrong = []string{v.T("%q is no telephone number: want +31612345678 or 0612345678.", short(text))}
		return v.showProofs(http.StatusUnprocessableEntity, short(text))
	}
	p, err := v.s.proof(v.Who(), n, time.Time{})
	if err != nil {
		return err
	}
	return sendProof(v.w, p, v.r.PostFormValue("format"), v.s.o.Now())
}

func (v *view) checkpoint() error {
	signed, err := v.s.o.Node.Checkpoint()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="checkpoint-`+v.s.o.Now().UTC().Format("20060102-150405")+`.txt"`)
	_, _ = v.w.Write(signed) // the client has gone
	return nil
}

// A settingsData is the page of settings.
type settingsData struct {
	Tokens      []access.Token
	People      []access.Person
	Roles       []access.Role
	Advertisers []string
	Secret      string // of the token that was just made
	State       State
}

func (v *view) settings() error { return v.showSettings(http.StatusOK) }

func (v *view) showSettings(status int) error {
	v.Name = "settings"
	d := settingsData{Roles: access.Roles()}
	if v.May("admin") {
		var err error
		if d.Tokens, err = v.s.o.Keys.Tokens(); err != nil {
			return err
		}
		if d.People, err = v.s.o.Keys.People(); err != nil {
			return err
		}
		d.State = v.s.o.Node.State()
		for id := range d.State.Names {
			d.Advertisers = append(d.Advertisers, id)
		}
		slices.Sort(d.Advertisers)
		if v.r.Method == http.MethodGet {
			d.Secret, _ = v.session.Take("secret").(string)
		}
	}
	return v.show(status, "settings", v.T("Settings"), d)
}

// done goes back to the settings, or shows what is wrong.
func (v *view) done(err error, text string, args ...any) error {
	if err != nil {
		v.Wrong = lines(err)
		return v.showSettings(http.StatusUnprocessableEntity)
	}
	v.tell(text, args...)
	return v.away("/settings")
}

func (v *view) makeToken() error {
	f := v.r.PostFormValue
	secret, t, err := v.s.o.Keys.Create(access.Token{Name: f("name"), Role: access.Role(f("role")), Advertiser: f("advertiser")}, v.s.o.Now())
	if err == nil {
		v.session.Keep("secret", secret)
		v.s.o.Log.Info("a token was made", "by", v.Who().Name, "token", t.ID, "role", string(t.Role))
	}
	return v.done(err, "The token is made. It is shown this once.")
}

func (v *view) revokeToken() error {
	id := v.r.PostFormValue("id")
	err := v.s.o.Keys.Revoke(id)
	if err == nil {
		v.s.o.Log.Info("a token was revoked", "by", v.Who().Name, "token", id)
	}
	return v.done(err, "The token is revoked.")
}

func (v *view) makePerson() error {
	f := v.r.PostFormValue
	p := access.Person{Name: f("name"), Role: access.Role(f("role")), Advertiser: f("advertiser")}
	err := v.s.o.Keys.SetPerson(p, f("password"), v.s.o.Now())
	if err == nil && p.Name != v.Who().Name {
		v.s.sessions.EndAll(p.Name)
	}
	return v.done(err, "%s may log in.", p.Name)
}

func (v *view) removePerson() error {
	name := v.r.PostFormValue("name")
	if name == v.Who().Name {
		v.Wrong = []string{v.T("You can't remove yourself; somebody else can.")}
		return v.showSettings(http.StatusUnprocessableEntity)
	}
	err := v.s.o.Keys.RemovePerson(name)
	return v.done(err, "%s may not log in any more.", name)
}

// ownPassword changes the password of whoever is logged in, who has to know the old one.
func (v *view) ownPassword() error {
	who, s, now, address := v.Who(), v.s, v.s.o.Now(), remote(v.r)
	if wait := s.throttle.Try(address, who.Name, now); wait > 0 {
		return tooMany(wait)
	}
	if _, err := s.o.Keys.Password(who.Name, v.r.PostFormValue("old")); err != nil {
		v.Wrong = []string{v.T("This is not your password.")}
		return v.showSettings(http.StatusUnprocessableEntity)
	}
	s.throttle.Worked(address, who.Name)
	err := s.o.Keys.SetPerson(access.Person{Name: who.Name, Role: who.Role, Advertiser: who.Advertiser}, v.r.PostFormValue("new"), now)
	if err == nil { // whoever else is logged in with the old one is not any more
		s.sessions.EndAll(who.Name)
		secret := s.sessions.Begin(who, now)
		http.SetCookie(v.w, s.cookie(secret, 0))
		v.session, v.who = s.sessions.Of(secret, now)
	}
	return v.done(err, "Your password is changed.")
}

func (v *view) reloadConfig() error {
	r, err := v.s.o.Node.Reload()
	if err != nil {
		if err := v.wrong(err); err != nil {
			return err
		}
		return v.showSettings(http.StatusUnprocessableEntity)
	}
	return v.done(nil, "The configuration %s is in force.", r.Config)
}
