package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// erasure asks for a number to be erased.
type erasure struct {
	Number string `json:"number"`
	Ground string `json:"ground" jsonschema:"who asked for it, and where that is kept; it stays on record and can't hold the number"`
}

func (s *Server) erase(c *call) error {
	var ask erasure
	if err := c.read(&ask); err != nil {
		return err
	}
	n, err := s.number("number", ask.Number)
	if strings.TrimSpace(ask.Ground) == "" {
		err = errors.Join(err, &Invalid{"ground", "say who asked for it, and where that is kept"})
	}
	if err != nil {
		return err
	}
	e, err := s.o.Node.Erase(n, ask.Ground)
	if err != nil {
		return err
	}
	s.o.Log.Info("a number was erased", "by", c.who.Name, "record", e.Record)
	return c.json(http.StatusOK, e)
}

// number reads a number in international or national form.
func (s *Server) number(path, text string) (policy.Number, error) {
	n, err := s.o.Node.Form().Number(text)
	if err != nil {
		return n, &Invalid{path, "is no telephone number: want +31612345678 or 0612345678"}
	}
	return n, nil
}

func (s *Server) decide(c *call) error {
	var q Question
	if err := c.read(&q); err != nil {
		return err
	}
	n, err := s.o.Node.Form().Number(q.To)
	if err != nil {
		n = policy.Number{} // it is judged all the same
	}
	if err := s.looksAt(c.who, "decide", n, 1); err != nil {
		return err
	}
	j, err := s.o.Node.Judge(q)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, j.Explains)
}

// decisionPage is one page of decisions.
type decisionPage struct {
	Decisions []Call `json:"decisions"`
	Next      string `json:"next,omitempty" jsonschema:"the cursor of the next page; none at the end. A page can be short before it"`
}

func (s *Server) decisions(c *call) error {
	q := &query{r: c.r}
	follow := q.flag("follow") || strings.Contains(c.r.Header.Get("Accept"), eventType)
	search := q.search(c.who)
	if err := q.err(); err != nil {
		return err
	}
	if follow {
		return s.follow(c.w, c.r, c.who, search)
	}
	page, err := s.search(search)
	if err != nil {
		return err
	}
	out := decisionPage{Decisions: []Call{}}
	for _, one := range page.Calls {
		out.Decisions = append(out.Decisions, show(one, c.who, false))
	}
	if page.Next != 0 {
		out.Next = strconv.FormatUint(page.Next, 10)
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) decision(c *call) error {
	q := &query{r: c.r}
	full := q.flag("full")
	if err := q.err(); err != nil {
		return err
	}
	seq, err := strconv.ParseUint(c.r.PathValue("seq"), 10, 64)
	if err != nil {
		return ErrNoCall
	}
	one, err := s.call(c.who, seq, full)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, one)
}

// call is one call as somebody may see it.
func (s *Server) call(who *access.Principal, seq uint64, full bool) (Call, error) {
	if full && !who.May(access.SeeNumbers) {
		return Call{}, problem(http.StatusForbidden, "the role "+string(who.Role)+" sees masked numbers only")
	}
	one, outcome, err := s.o.Node.Call(seq)
	if err == nil && who.Advertiser != "" && one.Advertiser != who.Advertiser {
		err = ErrNoCall // that there is one is nobody's business
	}
	if err != nil {
		return Call{}, err
	}
	if full {
		n, err := policy.ParseNumber(one.To)
		if err != nil {
			n = policy.Number{}
		}
		if err := s.looksAt(who, fmt.Sprint("decision ", seq), n, 1); err != nil {
			return Call{}, err
		}
	}
	shown := show(*one, who, full)
	shown.Outcome = outcome
	return shown, nil
}

// maxList bounds a list that is scrubbed.
const maxList = 256 << 20

func (s *Server) scrub(c *call) error {
	q := &query{r: c.r}
	o := ScrubOptions{Campaign: q.text("campaign"), Column: q.text("number_column"), At: q.instant("at")}
	if o.Campaign == "" {
		q.fail("campaign", "say which campaign would call")
	}
	if err := q.err(); err != nil {
		return err
	}
	list, err := bounded(c.w, c.r, maxList)
	if err != nil {
		return err
	}
	if err := s.looksAt(c.who, "scrub for campaign "+o.Campaign, policy.Number{}, 0); err != nil {
		return err
	}
	return s.scrubTo(c.w, list, o)
}

// proofQuery asks for a proof pack.
type proofQuery struct {
	Number  string    `json:"number"`
	KnownAt time.Time `json:"known_at,omitzero" jsonschema:"only what had been recorded then"`
	Format  string    `json:"format,omitempty" jsonschema:"json for machines, the default, or html for people"`
}

func (s *Server) prove(c *call) error {
	var ask proofQuery
	if err := c.read(&ask); err != nil {
		return err
	}
	n, err := s.number("number", ask.Number)
	if ask.Format != "" && ask.Format != "json" && ask.Format != "html" {
		err = errors.Join(err, &Invalid{"format", "want json or html"})
	}
	if err != nil {
		return err
	}
	proof, err := s.proof(c.who, n, ask.KnownAt)
	if err != nil {
		return err
	}
	return sendProof(c.w, proof, ask.Format, s.o.Now())
}

func (s *Server) proof(who *access.Principal, n policy.Number, knownAt time.Time) (Proof, error) {
	if err := s.looksAt(who, "proof pack", n, 1); err != nil {
		return Proof{}, err
	}
	return s.o.Node.Prove(n, knownAt, who.Advertiser)
}

// sendProof sends a pack as a file. Its name tells when it was made, never the
// number.
func sendProof(w http.ResponseWriter, p Proof, format string, now time.Time) error {
	data, kind, ending := p.JSON, jsonType, ".json"
	if format == "html" {
		data, kind, ending = p.HTML, "text/html; charset=utf-8", ".html"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="proof-`+now.UTC().Format("20060102-150405")+ending+`"`)
	_, _ = w.Write(data) // the client has gone
	return nil
}

func (s *Server) checkpoint(c *call) error {
	signed, err := s.o.Node.Checkpoint()
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = c.w.Write(signed) // the client has gone
	return nil
}

// lookPage is one page of look-ups.
type lookPage struct {
	LookUps []Look `json:"lookups"`
	Next    string `json:"next,omitempty" jsonschema:"the cursor of the next page; none at the end"`
}

func (s *Server) lookUps(c *call) error {
	q := &query{r: c.r}
	most, before := q.count("limit", 50, 200), q.cursor()
	if err := q.err(); err != nil {
		return err
	}
	looks, next, err := s.looks(before, most)
	if err != nil {
		return err
	}
	page := lookPage{LookUps: looks}
	if next != 0 {
		page.Next = strconv.FormatUint(next, 10)
	}
	return c.json(http.StatusOK, page)
}

// looks are look-ups with masked numbers: whoever asks who looked does not look.
func (s *Server) looks(before uint64, most int) ([]Look, uint64, error) {
	found, next, err := s.o.Node.LookUps(before, most)
	looks := []Look{}
	for _, l := range found {
		if l.Number != "" {
			l.Number = maskNumber(l.Number)
		}
		looks = append(looks, l)
	}
	return looks, next, err
}

func (s *Server) state(c *call) error    { return c.json(http.StatusOK, s.o.Node.State()) }
func (s *Server) carriers(c *call) error { return c.json(http.StatusOK, s.o.Node.State().Carriers) }
func (s *Server) peers(c *call) error    { return c.json(http.StatusOK, s.o.Node.State().Peers) }
func (s *Server) config(c *call) error   { return c.json(http.StatusOK, s.o.Node.State().Config) }

func (s *Server) cases(c *call) error {
	return c.json(http.StatusOK, append([]CaseResult{}, s.o.Node.Cases()...))
}

func (s *Server) reload(c *call) error {
	r, err := s.o.Node.Reload()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, r)
}

// ruleView is a rule for readers.
type ruleView struct {
	ID           string   `json:"id"`
	Mode         string   `json:"mode"`
	From         string   `json:"from,omitempty"`
	To           string   `json:"to,omitempty" jsonschema:"the first day it no longer applies"`
	Strength     string   `json:"strength"`
	Jurisdiction string   `json:"jurisdiction,omitempty"`
	Source       string   `json:"source"`
	English      string   `json:"english"`
	Dutch        string   `json:"dutch"`
	Needs        string   `json:"needs,omitempty"`
	Reasons      []string `json:"reasons,omitempty"`
}

// ground stands in place of the mode of a rule that can only allow.
const ground = "ground"

func viewRule(r *policy.Bound) ruleView {
	v := ruleView{ID: r.ID, Mode: r.Modes(), From: r.From.String(), To: r.To.String(), Strength: r.Strength.String(), Jurisdiction: r.Jurisdiction,
		Source: r.Source, English: r.English, Dutch: r.Dutch, Needs: r.Needs}
	for _, reason := range r.Reasons {
		v.Reasons = append(v.Reasons, reason.String())
	}
	if len(r.Reasons) > 0 && r.Reasons[0].Allows() {
		v.Mode = ground
	}
	return v
}

func (s *Server) rules(c *call) error {
	out := []ruleView{}
	for _, r := range s.o.Node.Rules() {
		out = append(out, viewRule(r))
	}
	return c.json(http.StatusOK, out)
}

// tokenView is a token without its secret.
type tokenView struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	Role       access.Role `json:"role"`
	Advertiser string      `json:"advertiser,omitempty"`
	Created    time.Time   `json:"created"`
	Expires    time.Time   `json:"expires,omitzero"`
}

func viewToken(t access.Token) tokenView {
	return tokenView{t.ID, t.Name, t.Role, t.Advertiser, t.Created, t.Expires}
}

func (s *Server) listTokens(c *call) error {
	all, err := s.o.Keys.Tokens()
	if err != nil {
		return err
	}
	out := []tokenView{}
	for _, t := range all {
		out = append(out, viewToken(t))
	}
	return c.json(http.StatusOK, out)
}

// newToken asks for a token.
type newToken struct {
	Name       string      `json:"name" jsonschema:"what it is for"`
	Role       access.Role `json:"role"`
	Advertiser string      `json:"advertiser,omitempty" jsonschema:"it sees and changes only what is this one's"`
	Expires    time.Time   `json:"expires,omitzero"`
}

// madeToken is a token with its secret.
type madeToken struct {
	tokenView
	Secret string `json:"token" jsonschema:"shown this once"`
}

func (s *Server) createToken(c *call) error {
	var ask newToken
	if err := c.read(&ask); err != nil {
		return err
	}
	var errs []error
	if err := access.CheckName(ask.Name); err != nil {
		errs = append(errs, &Invalid{"name", err.Error()})
	}
	if _, err := access.ParseRole(string(ask.Role)); err != nil {
		errs = append(errs, &Invalid{"role", err.Error()})
	} else if err := access.CheckRole(ask.Role, ask.Advertiser); err != nil {
		errs = append(errs, &Invalid{"advertiser", err.Error()})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	secret, t, err := s.o.Keys.Create(access.Token{Name: ask.Name, Role: ask.Role, Advertiser: ask.Advertiser, Expires: ask.Expires}, s.o.Now())
	if err != nil {
		return &Invalid{Text: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return c.json(http.StatusCreated, madeToken{viewToken(t), secret})
}

func (s *Server) revokeToken(c *call) error {
	if err := s.o.Keys.Revoke(c.r.PathValue("id")); err != nil {
		return problem(http.StatusNotFound, err.Error())
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// compact is a fact as JSON.
func compact(f *policy.Fact) json.RawMessage { return bytes.Clone(f.AppendJSON(nil)) }
