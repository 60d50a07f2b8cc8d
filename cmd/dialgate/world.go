package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"dialgate/configs"
	"dialgate/console"
	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy"
	"dialgate/sipproxy/message"
)

// A world is everything that judging a call takes, made of a configuration:
// the same for live calls, explain, check and the demo.
type world struct {
	cfg    *configs.Config
	domain *configs.Domain
	reader *sipproxy.Reader
	books  *policy.Books
	ran    []console.CaseResult // acceptance cases that it was held to

	lasts       sync.Once // lasting is made when somebody asks
	lastingBook *policy.Books
	lastingErr  error
}

// loadConfig reads the configuration file, or the embedded default when path
// is empty. text is what it holds.
func loadConfig(path string) (cfg *configs.Config, text []byte, err error) {
	name, text := "dialgate.yaml (embedded)", configs.Default
	if path != "" {
		name = path
		if text, err = os.ReadFile(path); err != nil {
			return nil, nil, usageError("the configuration can't be read: %v", err)
		}
	}
	cfg, err = configs.Parse(name, text)
	return cfg, text, configError(err)
}

// configError makes a usage error of what is wrong with a configuration: one
// line each, without the program's name before every one.
func configError(err error) error {
	var errs configs.Errors
	if errors.As(err, &errs) {
		return usageError("the configuration has %d errors\n%s", len(errs), errs.Error())
	}
	return err
}

// loadWorld reads a configuration and makes its world.
func loadWorld(path string) (*world, error) {
	cfg, _, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	return newWorld(cfg, nil)
}

// newWorld makes the world of a configuration. without leaves rules out.
func newWorld(cfg *configs.Config, without []string) (*world, error) {
	book := nl.Book()
	plans := policy.NewPlans(book.Plan)
	settings := cfg.Settings()
	settings.Without = without
	books, err := policy.NewBooks(settings, book)
	if err != nil {
		return nil, configError(settingErrors(cfg, err))
	}
	domain, err := cfg.Build(plans)
	if err != nil {
		return nil, usageError("the configuration can't be used: %v", err)
	}
	w := &world{cfg: cfg, domain: domain, books: books, reader: &sipproxy.Reader{
		Directory: domain.Directory, Plans: plans, Home: book.Plan, Emergency: map[string]bool{}, KeepRaw: int(cfg.SIP.KeepInvite),
	}}
	for _, n := range cfg.Emergency.Numbers {
		w.reader.Emergency[n] = true
	}
	return w, nil
}

// lasting is the books without the rules that ask for the hour and the day
// alone: by them it is asked until when a call that may be made now may be made.
func (w *world) lasting() (*policy.Books, error) {
	w.lasts.Do(func() {
		settings := w.cfg.Settings()
		settings.Without = clockRules(w.books)
		w.lastingBook, w.lastingErr = policy.NewBooks(settings, nl.Book())
	})
	return w.lastingBook, w.lastingErr
}

// settingErrors places errors about rules in the configuration file.
func settingErrors(cfg *configs.Config, err error) error {
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	var out configs.Errors
	for _, one := range list {
		var setting *policy.SettingError
		path := "rules"
		if errors.As(one, &setting) {
			path += "." + setting.Rule
		}
		out = append(out, cfg.At(path, one))
	}
	return out
}

// peer finds a dialer by its id; without one, the only one there is.
func (w *world) peer(id string) (*policy.PeerTerms, error) {
	var all []string
	for _, p := range w.domain.Peers {
		if p.Terms.ID == id || id == "" && len(w.domain.Peers) == 1 {
			return p.Terms, nil
		}
		all = append(all, p.Terms.ID)
	}
	if id == "" {
		return nil, usageError("there are several peers, say which one calls: %s", strings.Join(all, ", "))
	}
	return nil, usageError("there is no peer %q; there are: %s", id, strings.Join(all, ", "))
}

// attempt reads an INVITE as if it came from a peer, nil for a stranger. campaign, unless empty,
// is the campaign whatever the message says.
func (w *world) attempt(raw []byte, peer *policy.PeerTerms, campaign string, at time.Time) (*policy.Attempt, error) {
	var v message.View
	if peer == nil {
		return &policy.Attempt{At: at}, nil // a stranger's message is not read
	}
	err := v.Parse(raw)
	if err == nil && !v.IsMethod("INVITE") {
		return nil, usageError("the message is no INVITE")
	}
	a := &policy.Attempt{}
	w.read(&v, err, peer, a)
	a.At = at
	if err != nil {
		return a, nil
	}
	if campaign != "" {
		if a.Campaign = w.domain.Directory.Campaign(campaign); a.Campaign == nil {
			return nil, usageError("there is no campaign %q", campaign)
		}
		a.NoCampaign = ""
	}
	return a, nil
}

// read makes an attempt of a parsed INVITE. malformed is what the parser found
// wrong with it, nil when nothing is.
func (w *world) read(v *message.View, malformed error, peer *policy.PeerTerms, a *policy.Attempt) {
	if malformed != nil {
		*a = policy.Attempt{Peer: peer, CallID: string(v.Value(message.CallID)), Malformed: malformed.Error()}
		return
	}
	w.reader.Read(v, peer, a)
}

// answer is how a refusal is said to a peer.
func answer(t *policy.PeerTerms, r policy.Reason) sipproxy.Answer {
	p := sipproxy.PeerOf(t)
	return p.Answer(r)
}

// warnings are what is allowed but strange in the configuration, and the
// answers on which a peer's trunk is known to go round us.
func (w *world) warnings() []string {
	all := slices.Clone(w.cfg.Warnings())
	for i, r := range w.cfg.Registers {
		if r.ID == nl.ClosedRegister {
			all = append(all, w.cfg.At(fmt.Sprintf("registers[%d].id", i), errors.New("the Bel-me-niet Register closed on 1 July 2021: no copy of it is fresh any more, and calls are refused facts-stale; take it out")).Error())
		}
	}
	for i, p := range w.domain.Peers {
		peer := sipproxy.PeerOf(p.Terms)
		var rounds []string
		for _, r := range peer.GoesRound() {
			rounds = append(rounds, r.String())
		}
		if len(rounds) > 0 {
			all = append(all, w.cfg.At(fmt.Sprintf("peers[%d].dialect", i), fmt.Errorf("trunks are known to try another way, past dialgate, when they get %s; choose another dialect for %s unless its trunk was told not to",
				strings.Join(rounds, ", "), p.Terms.ID)).Error())
		}
	}
	return all
}

// sipAnswerTo is what the peer is answered, for explanations; nil when the
// call goes on to the carrier.
func sipAnswerTo(p *policy.PeerTerms, d *policy.Decision) *sipAnswer {
	a := answer(p, d.Told())
	if d.Verdict == policy.Allowed {
		peer := sipproxy.PeerOf(p)
		if !peer.Dialect.Redirects() {
			return nil
		}
		a = peer.Allowed()
	}
	headers := strings.Split(strings.TrimSpace(string(a.Headers("dialgate", ""))), "\r\n")
	return &sipAnswer{Code: a.Code, Phrase: a.Phrase, Headers: headers}
}

// calledZone is the time zone that bare dates are read in.
var calledZone = sync.OnceValue(func() *time.Location { return nl.Book().Zone }) // to make the book takes time

// localNumber reads a number in international or Dutch national form.
func localNumber(s string) (policy.Number, error) {
	if n, err := policy.ParseNumber(s); err == nil {
		return n, nil
	}
	plan := nl.Plan()
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()", r) {
			return -1
		}
		return r
	}, s)
	if n, err := policy.ParseNumber(digits); err == nil {
		return n, nil
	}
	if n, ok := plan.National(digits); ok {
		return n, nil
	}
	return policy.Number{}, fmt.Errorf("%q is no telephone number: want +31612345678 or 0612345678", s)
}

// addrPort reads an address that the configuration has checked.
func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
