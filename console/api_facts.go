package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// added is what became of one fact.
type added struct {
	Line   int        `json:"line,omitempty" jsonschema:"of many: the line it stood on, from 1"`
	ID     string     `json:"id,omitempty"`
	Known  bool       `json:"known,omitempty" jsonschema:"it was there before"`
	Errors []*Invalid `json:"errors,omitempty" jsonschema:"why it was refused"`
}

// factExample stands for a fact in the OpenAPI document.
type factExample struct {
	ID         string `json:"id,omitempty" jsonschema:"given by who first wrote it; default: one is made"`
	Kind       string `json:"kind" jsonschema:"consent, withdrawal, objection, relationship, subscriber, callback or listed"`
	Number     string `json:"number"`
	Advertiser string `json:"advertiser,omitempty"`
	At         string `json:"at,omitempty" jsonschema:"when it happened, RFC 3339"`
	Source     string `json:"source,omitempty"`
}

// form is how facts are read from a request: what happens without a time
// happens now.
func (s *Server) form() policy.FactForm {
	form := s.o.Node.Form()
	form.DefaultAt = s.o.Node.Now().Truncate(time.Second)
	return form
}

const (
	maxFactLine = 64 << 10
	factBatch   = 500
)

func (s *Server) addFacts(c *call) error {
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	switch kind {
	case jsonType:
		body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxFactLine))
		if err != nil {
			return err
		}
		f, err := s.form().ParseJSON(body)
		if err != nil {
			if all := invalidities(err); len(all) > 0 {
				return invalid(all...)
			}
			return problem(http.StatusBadRequest, err.Error())
		}
		return s.addOne(c, f)
	case ndjsonType:
		return s.addMany(c)
	}
	return problem(http.StatusUnsupportedMediaType, "send one fact as "+jsonType+", or many as "+ndjsonType)
}

// mayWrite tells why somebody may not write a fact, nil if they may.
func mayWrite(who *access.Principal, f *policy.Fact) *Invalid {
	if who.Advertiser == "" || f.Advertiser == who.Advertiser {
		return nil
	}
	return &Invalid{"advertiser", fmt.Sprintf("may be only %s: access is bound to it", who.Advertiser)}
}

func (s *Server) addOne(c *call, f policy.Fact) error {
	if wrong := mayWrite(c.who, &f); wrong != nil {
		return wrong
	}
	r, err := s.gatherer.one(f)
	if err != nil {
		return err
	}
	if r.Err != nil {
		p := problem(http.StatusConflict, r.Err.Error())
		p.Errors = []*Invalid{{Text: r.Err.Error()}}
		return p
	}
	status := http.StatusCreated
	if r.Known {
		status = http.StatusOK
	}
	return c.json(status, added{ID: r.ID, Known: r.Known})
}

// addMany answers each line with a line, in batches: when a line is answered it
// is durable, and when the connection breaks what was answered stands.
func (s *Server) addMany(c *call) error {
	control := http.NewResponseController(c.w)
	_ = control.EnableFullDuplex() // HTTP/2 is always so
	c.w.Header().Set("Content-Type", ndjsonType)
	out := json.NewEncoder(c.w)
	in := bufio.NewReaderSize(c.r.Body, maxFactLine)
	form := s.form()
	var batch []policy.Fact
	var answers []added
	var places []int // of the batch in answers
	flush := func() error {
		if len(batch) > 0 {
			results, err := s.o.Node.Add(c.r.Context(), batch...)
			if err != nil {
				return err
			}
			for i, r := range results {
				a := &answers[places[i]]
				a.ID, a.Known = r.ID, r.Known
				if r.Err != nil {
					a.Errors = []*Invalid{{Text: r.Err.Error()}}
				}
			}
		}
		for _, a := range answers {
			if err := out.Encode(a); err != nil {
				return err
			}
		}
		batch, answers, places = batch[:0], answers[:0], places[:0]
		return control.Flush()
	}
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			answers = append(answers, added{Line: line, Errors: []*Invalid{{Text: fmt.Sprintf("the line is longer than %d octets; nothing after it was read", maxFactLine)}}})
			return s.breakOff(errors.Join(flush(), errors.New("a line is too long")))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			a := added{Line: line}
			f, wrong := form.ParseJSON(text)
			if wrong == nil {
				if no := mayWrite(c.who, &f); no != nil {
					wrong = no
				}
			}
			if wrong != nil {
				if a.Errors = invalidities(wrong); a.Errors == nil {
					a.Errors = []*Invalid{{Text: wrong.Error()}}
				}
			} else {
				batch, places = append(batch, f), append(places, len(answers))
			}
			answers = append(answers, a)
		}
		if err != nil || len(answers) >= factBatch || in.Buffered() == 0 {
			if failed := flush(); failed != nil {
				return s.breakOff(failed)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.breakOff(err)
		}
	}
}

// breakOff ends an answer that has begun, so that the client sees it is not whole.
func (s *Server) breakOff(err error) error {
	s.o.Log.Warn("facts were answered only in part", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	panic(http.ErrAbortHandler)
}

// objection is what the words of an objection are.
type objection struct {
	ID         string `json:"id,omitempty" jsonschema:"to send it again without harm"`
	Number     string `json:"number"`
	Advertiser string `json:"advertiser,omitempty" jsonschema:"whose calls it is about; default: everybody's"`
	Scope      string `json:"scope,omitempty" jsonschema:"telemarketing, the default, or all"`
	Via        string `json:"via,omitempty" jsonschema:"how it came: agent, letter, web"`
	At         string `json:"at,omitempty" jsonschema:"when it was made, RFC 3339; default: now"`
	Source     string `json:"source,omitempty"`
}

func (s *Server) addObjection(c *call) error {
	var o objection
	if err := c.read(&o); err != nil {
		return err
	}
	f, err := s.objection(c.who, o)
	if err != nil {
		return err
	}
	return s.addOne(c, f)
}

func (s *Server) objection(who *access.Principal, o objection) (policy.Fact, error) {
	if o.Advertiser == "" {
		o.Advertiser = "*"
		if who.Advertiser != "" {
			o.Advertiser = who.Advertiser
		}
	}
	return s.form().ParseRow(
		[]string{"kind", "id", "number", "advertiser", "scope", "via", "at", "source"},
		[]string{policy.Objection.String(), o.ID, o.Number, o.Advertiser, o.Scope, o.Via, o.At, o.Source})
}

// numberQuery asks for a number.
type numberQuery struct {
	Number  string    `json:"number"`
	KnownAt time.Time `json:"known_at,omitzero" jsonschema:"only what had been recorded then"`
	Cursor  string    `json:"cursor,omitempty" jsonschema:"next of the page of calls before"`
}

// numberView is what is known of a number.
type numberView struct {
	Number    string            `json:"number"`
	Standings []Standing        `json:"standings" jsonschema:"for each campaign: may it be called now"`
	Facts     []json.RawMessage `json:"facts" jsonschema:"in the order in which they happened"`
	Calls     []Call            `json:"calls" jsonschema:"the newest first"`
	Next      string            `json:"next,omitempty" jsonschema:"cursor of the next page of calls"`
}

func (s *Server) queryNumber(c *call) error {
	var ask numberQuery
	if err := c.read(&ask); err != nil {
		return err
	}
	n, err := s.number("number", ask.Number)
	var before uint64
	if ask.Cursor != "" {
		if _, bad := fmt.Sscan(ask.Cursor, &before); bad != nil || before == 0 {
			err = errors.Join(err, &Invalid{"cursor", "is none that was given"})
		}
	}
	if err != nil {
		return err
	}
	known, err := s.numberOf(c.who, n, ask.KnownAt, before)
	if err != nil {
		return err
	}
	view := numberView{Number: n.E164(), Standings: known.standings, Facts: []json.RawMessage{}, Calls: known.calls}
	for i := range known.facts {
		view.Facts = append(view.Facts, compact(&known.facts[i]))
	}
	if known.next != 0 {
		view.Next = fmt.Sprint(known.next)
	}
	return c.json(http.StatusOK, view)
}

// A known is what somebody may know of a number.
type known struct {
	standings []Standing
	facts     []policy.Fact
	calls     []Call
	next      uint64
}

const callsOfNumber = 50

// numberOf is what somebody may know of a number. The look is recorded before.
func (s *Server) numberOf(who *access.Principal, n policy.Number, knownAt time.Time, before uint64) (*known, error) {
	if err := s.looksAt(who, "number", n, 1); err != nil {
		return nil, err
	}
	facts, err := s.o.Node.History(n)
	if err != nil {
		return nil, err
	}
	if !knownAt.IsZero() {
		facts = facts.KnownAt(knownAt)
	}
	k := &known{standings: []Standing{}, calls: []Call{}}
	for _, f := range facts.All {
		if who.Advertiser == "" || f.Advertiser == "" || f.Advertiser == "*" || f.Advertiser == who.Advertiser {
			k.facts = append(k.facts, f)
		}
	}
	page, err := s.search(Search{Number: n, Advertiser: who.Advertiser, To: knownAt, Before: before, Most: callsOfNumber})
	if err != nil {
		return nil, err
	}
	k.next = page.Next
	for _, one := range page.Calls {
		k.calls = append(k.calls, show(one, who, true))
	}
	all, err := s.o.Node.Standings(n)
	if err != nil {
		return nil, err
	}
	for _, st := range all {
		if who.Advertiser != "" {
			if st.Advertiser != who.Advertiser {
				continue
			}
			st.Reason = policy.Told(st.Reason, st.Mode)
		}
		k.standings = append(k.standings, st)
	}
	return k, nil
}
