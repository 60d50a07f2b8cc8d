package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"dialgate/console/access"
	"dialgate/console/webhook"
	"dialgate/policy"
)

// hookLook is how many records of the ledger are read for an endpoint at once.
const hookLook = 1000

// hookRoles are the eyes that an endpoint can have.
var hookRoles = []access.Role{access.Advertiser, access.Viewer, access.Analyst}

// hookOptions are how the node's webhooks are run.
func (s *Server) hookOptions() webhook.Options {
	return webhook.Options{Dir: s.o.Dir, Allowed: s.o.WebhooksTo, Agent: s.o.Agent, Log: s.o.Log, Now: s.o.Now,
		Read: s.hookMessages, Sends: s.hookLooks, End: s.o.Node.LedgerEnd}
}

// hookEyes is who an endpoint is, as far as what it may see goes.
func hookEyes(h *webhook.Hook) *access.Principal {
	return &access.Principal{Name: "webhook " + h.Name, Token: h.ID, Role: access.Role(h.Role), Advertiser: h.Advertiser}
}

// An objectionMade is an objection as an endpoint is told of it.
type objectionMade struct {
	Seq        uint64    `json:"seq"`
	ID         string    `json:"id"`
	Number     string    `json:"number"`
	Masked     bool      `json:"masked"`
	Advertiser string    `json:"advertiser"`
	Scope      string    `json:"scope"`
	Via        string    `json:"via,omitempty"`
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`

	number policy.Number
}

// hookMessages reads what an endpoint is told of behind a record.
func (s *Server) hookMessages(h *webhook.Hook, after uint64) (messages []webhook.Message, last, missed uint64, err error) {
	events, last, missed, err := s.o.Node.Events(after, hookLook)
	if err != nil {
		return nil, 0, 0, err
	}
	who := hookEyes(h)
	full := who.May(access.SeeNumbers)
	asked := Search{Verdict: h.Verdict, Reason: h.Reason, Peer: h.Peer, Campaign: h.Campaign, Advertiser: h.Advertiser}
	for _, e := range events {
		m := webhook.Message{Seq: e.Seq, ID: "evt_" + e.Key, At: e.At}
		switch {
		case e.Call != nil && h.Wants(webhook.Decision):
			// What it asks for is compared with what it may see: a reason that
			// tells of another advertiser can't be told by its absence either.
			shown := show(*e.Call, who, full)
			if !asked.fits(&shown) {
				continue
			}
			m.Type, m.Data = webhook.Decision+"."+shown.Verdict, shown
		case e.Objection != nil && h.Wants(webhook.Objection):
			f := e.Objection
			if who.Advertiser != "" && f.Advertiser != "*" && f.Advertiser != who.Advertiser {
				continue
			}
			m.Type, m.Data = webhook.Objection+".recorded", showObjection(e.Seq, f, full)
		default:
			continue
		}
		messages = append(messages, m)
	}
	return messages, last, missed, nil
}

func showObjection(seq uint64, f *policy.Fact, full bool) objectionMade {
	o := objectionMade{Seq: seq, ID: f.ID, Number: f.Number.E164(), Advertiser: f.Advertiser, Scope: f.Scope.String(), Via: cleanText(f.Via),
		At: f.At, RecordedAt: f.RecordedAt, number: f.Number}
	if !full {
		o.Masked, o.Number, o.ID, o.Via = true, f.Number.String(), maskText(o.ID), maskText(o.Via)
	}
	return o
}

// hookLooks records that an endpoint is about to see a number in full.
func (s *Server) hookLooks(h *webhook.Hook, m *webhook.Message) error {
	var n policy.Number
	switch data := m.Data.(type) {
	case Call:
		if data.Masked {
			return nil
		}
		if to, err := policy.ParseNumber(data.To); err == nil {
			n = to
		}
	case objectionMade:
		if data.Masked {
			return nil
		}
		n = data.number
	}
	return s.looksAt(hookEyes(h), "webhook "+m.Type, n, 1)
}

// hookView is an endpoint without its secrets.
type hookView struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	URL        string    `json:"url"`
	Role       string    `json:"role"`
	Advertiser string    `json:"advertiser,omitempty"`
	Events     []string  `json:"events"`
	Verdict    string    `json:"verdict,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Campaign   string    `json:"campaign,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	Created    time.Time `json:"created"`
	State      string    `json:"state" jsonschema:"working, failing (it is tried again) or disabled (given up until it is enabled)"`
	Why        string    `json:"why,omitempty" jsonschema:"why the last delivery did not work"`
	Behind     uint64    `json:"behind" jsonschema:"records of the ledger that it was not told of yet"`
	Delivered  uint64    `json:"delivered"`
	Missed     uint64    `json:"missed,omitempty" jsonschema:"records that retention removed before they could be told"`
	Last       time.Time `json:"last,omitzero" jsonschema:"when it last took an event"`
	Failing    time.Time `json:"failing,omitzero" jsonschema:"since when it takes none"`
	Tries      int       `json:"tries,omitempty" jsonschema:"in vain, in a row"`
	Next       time.Time `json:"next,omitzero" jsonschema:"when it is tried again"`
	Both       time.Time `json:"both_until,omitzero" jsonschema:"until then the secret before the last one signs too"`
}

func (s *Server) viewHook(h *webhook.Hook) hookView {
	v := hookView{ID: h.ID, Name: h.Name, URL: h.URL, Role: h.Role, Advertiser: h.Advertiser, Events: h.Events, Verdict: h.Verdict, Reason: h.Reason,
		Campaign: h.Campaign, Peer: h.Peer, Created: h.Created, State: h.State.Is(), Why: h.State.Why, Delivered: h.State.Delivered, Missed: h.State.Missed,
		Last: h.State.Last, Failing: h.State.Failing, Tries: h.State.Tries, Next: h.State.Next}
	if end := s.o.Node.LedgerEnd(); end > h.State.Cursor {
		v.Behind = end - h.State.Cursor
	}
	for _, secret := range h.Secrets[1:] {
		if secret.Until.After(s.o.Now()) && secret.Until.After(v.Both) {
			v.Both = secret.Until
		}
	}
	return v
}

// Webhooks is how many endpoints there are in each state, and by how many
// records the last of them is behind.
func (s *Server) Webhooks() (states map[string]int, behind uint64) {
	states = map[string]int{"working": 0, "failing": 0, "disabled": 0}
	for _, h := range s.hooks.List() {
		v := s.viewHook(h)
		states[v.State]++
		behind = max(behind, v.Behind)
	}
	return states, behind
}

// newHook asks for an endpoint.
type newHook struct {
	Name       string      `json:"name" jsonschema:"what it is for"`
	URL        string      `json:"url" jsonschema:"https, to an address of the open internet unless api.webhooks_to allows another"`
	Role       access.Role `json:"role" jsonschema:"whose eyes it has: viewer and advertiser get masked numbers, analyst full ones, each recorded as a look-up"`
	Advertiser string      `json:"advertiser,omitempty" jsonschema:"it is told only of what is this one's"`
	Events     []string    `json:"events" jsonschema:"decision, objection"`
	Verdict    string      `json:"verdict,omitempty" jsonschema:"only decisions of this verdict"`
	Reason     string      `json:"reason,omitempty" jsonschema:"only decisions for this reason"`
	Campaign   string      `json:"campaign,omitempty" jsonschema:"only decisions about this campaign"`
	Peer       string      `json:"peer,omitempty" jsonschema:"only decisions about calls of this dialer"`
}

// checkHook tells all that is wrong with an endpoint that is asked for.
func (s *Server) checkHook(n *newHook) error {
	var errs []error
	wrong := func(path, format string, args ...any) {
		errs = append(errs, &Invalid{path, fmt.Sprintf(format, args...)})
	}
	if err := access.CheckName(n.Name); err != nil {
		wrong("name", "%v", err)
	}
	if err := s.hooks.CheckURL(n.URL); err != nil {
		wrong("url", "%v", err)
	}
	if !slices.Contains(hookRoles, n.Role) {
		wrong("role", "is %q, want viewer, analyst or advertiser", n.Role)
	} else if err := access.CheckRole(n.Role, n.Advertiser); err != nil {
		wrong("advertiser", "%v", err)
	}
	if _, there := s.o.Node.State().Names[n.Advertiser]; n.Advertiser != "" && !there {
		wrong("advertiser", "there is no advertiser %q in the configuration", n.Advertiser)
	}
	if len(n.Events) == 0 {
		wrong("events", "say of what it is told: decision, objection")
	}
	for i, e := range n.Events {
		if e != webhook.Decision && e != webhook.Objection {
			wrong(fmt.Sprintf("events[%d]", i), "is %q, want decision or objection", e)
		}
	}
	if _, ok := policy.ParseVerdict(n.Verdict); !ok && n.Verdict != "" {
		wrong("verdict", "is %q, want allow or deny", n.Verdict)
	}
	if reason, ok := policy.ParseReason(n.Reason); n.Reason != "" && !ok {
		wrong("reason", "there is no reason %q", n.Reason)
	} else if n.Advertiser != "" && reason.TellsOfOthers() {
		wrong("reason", "is not told")
	}
	return errors.Join(errs...)
}

// addHook makes an endpoint, and returns its secret.
func (s *Server) addHook(by *access.Principal, n *newHook) (string, *webhook.Hook, error) {
	if err := s.checkHook(n); err != nil {
		return "", nil, err
	}
	slices.Sort(n.Events)
	secret, h, err := s.hooks.Add(webhook.Hook{Name: n.Name, URL: n.URL, Role: string(n.Role), Advertiser: n.Advertiser, Events: slices.Compact(n.Events),
		Verdict: n.Verdict, Reason: n.Reason, Campaign: n.Campaign, Peer: n.Peer})
	if err == nil {
		s.o.Log.Info("a webhook was made", "by", by.Name, "webhook", h.ID, "host", h.Host(), "role", h.Role)
	}
	return secret, h, err
}

// madeHook is an endpoint with its secret.
type madeHook struct {
	hookView
	Secret string `json:"secret" jsonschema:"what signatures are verified with; shown this once"`
}

// madeSecret is a new secret.
type madeSecret struct {
	Secret string `json:"secret" jsonschema:"shown this once; the one before signs beside it for a day"`
}

// testedHook tells what came of a test.
type testedHook struct {
	Delivered bool   `json:"delivered"`
	Status    int    `json:"status,omitempty" jsonschema:"of the answer; none: none came"`
	MS        int64  `json:"ms"`
	Why       string `json:"why,omitempty" jsonschema:"why it does not count as delivered"`
}

// enableHook says from where an endpoint goes on.
type enableHook struct {
	Skip bool `json:"skip,omitempty" jsonschema:"true: what was recorded meanwhile is not told"`
}

// hookProblem says that there is no such endpoint.
func hookProblem(err error) error {
	if errors.Is(err, webhook.ErrUnknown) {
		return problem(http.StatusNotFound, err.Error())
	}
	return err
}

func (s *Server) listHooks(c *call) error {
	out := []hookView{}
	for _, h := range s.hooks.List() {
		out = append(out, s.viewHook(h))
	}
	return c.json(http.StatusOK, out)
}

func (s *Server) createHook(c *call) error {
	var ask newHook
	if err := c.read(&ask); err != nil {
		return err
	}
	secret, h, err := s.addHook(c.who, &ask)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, madeHook{s.viewHook(h), secret})
}

func (s *Server) removeHook(c *call) error {
	if err := s.dropHook(c.who, c.r.PathValue("id")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) dropHook(by *access.Principal, id string) error {
	err := hookProblem(s.hooks.Remove(id))
	if err == nil {
		s.o.Log.Info("a webhook was removed", "by", by.Name, "webhook", id)
	}
	return err
}

func (s *Server) testHook(c *call) error {
	r, err := s.hooks.Test(c.r.Context(), c.r.PathValue("id"))
	if err != nil {
		return hookProblem(err)
	}
	return c.json(http.StatusOK, testedHook{r.Delivered(), r.Status, r.Took.Milliseconds(), r.Why})
}

func (s *Server) renewHookSecret(c *call) error {
	secret, err := s.rotateHook(c.who, c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, madeSecret{secret})
}

func (s *Server) rotateHook(by *access.Principal, id string) (string, error) {
	secret, err := s.hooks.Rotate(id)
	if err == nil {
		s.o.Log.Info("a webhook has a new secret", "by", by.Name, "webhook", id)
	}
	return secret, hookProblem(err)
}

func (s *Server) enableHook(c *call) error {
	var ask enableHook
	if err := c.read(&ask); err != nil {
		return err
	}
	if err := s.hooks.Enable(c.r.PathValue("id"), ask.Skip); err != nil {
		return hookProblem(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}
