package sipproxy

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rogpeppe/go-internal/txtar"

	"dialgate/internal/simnet"
	"dialgate/policy"
	"dialgate/policy/nl"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into the golden files")

// TestFlows plays every flow: a script of what dialer and carrier do, and the
// ladder that must be seen. Timers run in virtual time.
func TestFlows(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "flows", "*.txtar"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d flows: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			script, want := part(archive, "script"), part(archive, "ladder")
			var got string
			synctest.Test(t, func(t *testing.T) { got = play(t, script) })
			if *rewrite {
				setPart(archive, "ladder", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("%s\ngot\n%s\nwant\n%s", archive.Comment, got, want)
			}
		})
	}
}

func part(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func setPart(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

// A stage is a proxy with its dialer and carrier on a network in memory.
type stage struct {
	t       *testing.T
	net     *simnet.Network
	ladder  *simnet.Ladder
	proxy   *Proxy
	dialer  *agent
	carrier *agent
	more    map[string]*agent // further carriers
	other   *agent            // an unknown source
	unsent  map[netip.AddrPort]bool
	metrics *prometheus.Registry
	watch   atomic.Pointer[func(simnet.Packet)] // sees every packet; nil: nobody does
	dns     *flowDNS

	verdict  string        // what the judge says: allow or a deny reason
	after    time.Duration // how long the record takes
	late     string        // what is done when it is not there by then; "": it is
	judged   int
	callers  int // changes of the caller identity that were judged
	books    *policy.Books
	options  Options
	ended    chan error
	outcomes []policy.Outcome
	lose     map[string]int // label → how many to lose
	spared   bool           // an objection does not refuse calls
	config   Config         // what is in force
}

var (
	gateAddr    = netip.MustParseAddrPort("192.0.2.1:5060")
	gateAddr6   = netip.MustParseAddrPort("[2001:db8::1]:5060")
	dialerAddr  = netip.MustParseAddrPort("192.0.2.10:5060")
	phoneAddr   = netip.MustParseAddrPort("198.51.100.200:5060") // another target behind the carrier
	carrierAddr = netip.MustParseAddrPort("198.51.100.5:5060")
	carrier6    = netip.MustParseAddrPort("[2001:db8::5]:5060")
	secondAddr  = netip.MustParseAddrPort("198.51.100.6:5060")
	thirdAddr   = netip.MustParseAddrPort("198.51.100.7:5060")
	otherAddr   = netip.MustParseAddrPort("203.0.113.66:5060")
)

// newStage builds the proxy; options may change before it starts.
func newStage(t *testing.T, change func(*Options)) *stage {
	s := &stage{t: t, net: simnet.New(), verdict: "allow", lose: map[string]int{}, more: map[string]*agent{}, unsent: map[netip.AddrPort]bool{}, metrics: prometheus.NewRegistry()}
	s.ladder = simnet.NewLadder()
	s.ladder.Column("dialer", dialerAddr, otherAddr)
	s.ladder.Column("dialgate", gateAddr, gateAddr6)
	s.ladder.Column("carrier", carrierAddr, carrier6)
	s.net.Tap = func(p simnet.Packet) {
		s.ladder.Add(p)
		if f := s.watch.Load(); f != nil {
			(*f)(p)
		}
	}
	s.net.Drop = s.drop
	s.net.Refuse = func(p simnet.Packet) error {
		if s.unsent[p.To] {
			return errors.New("the network is unreachable")
		}
		return nil
	}
	o := Options{
		Listeners: []Listener{{Conn: s.net.Listen(gateAddr), Advertised: gateAddr}},
		Config: Config{
			Peers:    []Peer{{Terms: flowTerms(), Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32")}}},
			Carriers: []Carrier{{ID: "carrier", Targets: []netip.AddrPort{carrierAddr}}},
			Reader:   flowReader(t), Judge: s.judge, JudgeCaller: s.judgeCaller, Outcome: func(o policy.Outcome) { s.outcomes = append(s.outcomes, o) },
			Objected: func(*policy.Attempt) bool { return !s.spared },
		},
		Key: bytes.Repeat([]byte("k"), 32), Name: "gate", Log: slog.New(turns{slog.DiscardHandler, s.ladder}), Metrics: s.metrics,
		Random: rand.New(rand.NewPCG(4, 0)).IntN,
	}
	if change != nil {
		change(&o)
	}
	s.config, s.options = o.Config, o
	var err error
	if s.books, err = policy.NewBooks(policy.Settings{}); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.dialer = newAgent(s, "dialer", dialerAddr)
	first := carrierAddr
	if len(o.Carriers[0].Targets) > 0 {
		first = o.Carriers[0].Targets[0]
	}
	s.carrier = newAgent(s, "carrier", first)
	if dns, ok := o.Resolver.(*flowDNS); ok {
		s.dns = dns
		for _, name := range []string{"second", "third"} {
			s.ladder.Column(name, dns.hosts[name+"."])
			s.more[name] = newAgent(s, name, dns.hosts[name+"."])
		}
	}
	s.other = newAgent(s, "stranger", otherAddr)
	for _, c := range o.Carriers {
		for i, a := range c.Targets {
			if name := flowCarriers[a]; name != "" && s.more[name] == nil && (c.ID != "carrier" || i > 0) {
				s.ladder.Column(name, a)
				s.more[name] = newAgent(s, name, a)
			}
		}
	}
	t.Cleanup(func() {
		for _, a := range []*agent{s.dialer, s.carrier, s.other, s.more["second"], s.more["third"]} {
			if a != nil {
				a.conn.Close()
			}
		}
		s.stop()
	})
	return s
}

// start starts a proxy.
func (s *stage) start() {
	var err error
	if s.proxy, err = New(s.options); err != nil {
		s.t.Fatal(err)
	}
	p, ended := s.proxy, make(chan error, 1)
	s.ended = ended
	go func() { ended <- p.Serve() }()
}

func (s *stage) stop() {
	s.proxy.Close()
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
}

// restart puts another proxy with the same key in the place of the one that
// runs, as its second node takes over a pair's address.
func (s *stage) restart() {
	s.stop()
	for i := range s.options.Listeners {
		l := &s.options.Listeners[i]
		l.Conn = s.net.Listen(l.Advertised)
	}
	s.options.Metrics = prometheus.NewRegistry()
	s.start()
}

// judgeCaller judges by the rules themselves.
func (s *stage) judgeCaller(a *policy.Attempt, ready func(policy.Ruling)) {
	s.callers++
	a.At = time.Now()
	ready(policy.Ruling{Decision: s.books.DecideCaller(a)})
}

func flowTerms() *policy.PeerTerms {
	return &policy.PeerTerms{ID: "dialer", AllCampaigns: true, Plan: nl.Plan(), Dialect: "safe"}
}

func flowReader(t testing.TB) *Reader {
	campaign := &policy.Campaign{ID: "energy", Advertiser: &policy.Advertiser{ID: "windkracht"}, Purpose: policy.Commercial, Products: []string{"energy"}, ObjectionOffered: true}
	var numbers []*policy.CallerNumber
	for _, n := range [...]string{"+31205550100", "+31205550101"} {
		numbers = append(numbers, &policy.CallerNumber{Number: policy.MustNumber(n), Campaigns: []*policy.Campaign{campaign}})
	}
	d, err := policy.NewDirectory([]*policy.Campaign{campaign}, numbers, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Reader{Directory: d, Plans: policy.NewPlans(nl.Plan()), Home: nl.Plan(), Emergency: map[string]bool{"112": true}}
}

// judge says what the script told it to, but never lets pass what is malformed.
func (s *stage) judge(a *policy.Attempt, ready func(policy.Ruling)) {
	s.judged++
	if s.verdict == "panic" {
		panic("a fault that the script asked for")
	}
	r := policy.Ruling{ID: policy.RulingID{15: byte(s.judged)}}
	switch {
	case a.Malformed != "":
		r.Decision = policy.Operational(policy.ReasonMalformed)
	case s.verdict == "allow" || a.Called.Emergency:
		r.Decision.Verdict, r.Decision.Reason = policy.Allowed, policy.ReasonConsent
	default:
		reason, ok := policy.ParseReason(s.verdict)
		if !ok {
			s.t.Fatalf("%q is no reason", s.verdict)
		}
		r.Decision = policy.Operational(reason)
	}
	if s.late != "" { // as gate has it
		d := policy.Operational(policy.ReasonLedgerUnavailable)
		if s.late == "permit" {
			d = policy.Permitted(policy.ReasonLedgerUnavailable, r.Decision)
		}
		r.Decision, r.Late = d, &policy.Late{Verdict: d.Verdict, Reason: d.Reason}
	}
	if s.after == 0 {
		ready(r)
		return
	}
	time.AfterFunc(s.after, func() { ready(r) })
}

// drop loses what the script asked for.
func (s *stage) drop(p simnet.Packet) bool {
	for what, n := range s.lose {
		begins, ours := strings.CutPrefix(what, "ours ")
		if n > 0 && strings.HasPrefix(string(p.Payload), begins) && (!ours || p.From == gateAddr) {
			s.lose[what]--
			return true
		}
	}
	return false
}

// perform carries out a script on a stage of its own.
func perform(t *testing.T, script string) *stage {
	var s *stage
	var change []func(*Options)
	for _, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if words[0] == "with" {
			change = append(change, option(t, words[1:]))
			continue
		}
		if s == nil {
			s = newStage(t, func(o *Options) {
				for _, c := range change {
					c(o)
				}
			})
		}
		s.do(words, line)
		synctest.Wait()
	}
	return s
}

// play runs a script and returns its ladder.
func play(t *testing.T, script string) string {
	s := perform(t, script)
	// What the script did not wait for must not go on for ever. Probing does.
	s.stopProbing()
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	if servers, clients := s.proxy.layer.Count(); servers+clients > 0 {
		t.Errorf("%d server and %d client transactions are left after five minutes", servers, clients)
	}
	if n := len(s.proxy.open); n > 0 {
		t.Errorf("%d calls are still open after five minutes", n)
	}
	if n := s.proxy.inSetup; n != 0 {
		t.Errorf("%d calls count as in set-up after five minutes", n)
	}
	var b strings.Builder
	b.WriteString(s.ladder.String())
	fmt.Fprintf(&b, "%9s  judged %d", "", s.judged)
	if s.callers > 0 {
		fmt.Fprintf(&b, ", callers judged again %d", s.callers)
	}
	for _, o := range s.outcomes {
		fmt.Fprintf(&b, ", ended %d by %s", o.Code, o.EndedBy)
		if o.Tried > 1 || o.Carrier != "" && o.Carrier != "carrier" {
			fmt.Fprintf(&b, " at %s, %d tried", o.Carrier, o.Tried)
		}
		if o.Late != nil {
			fmt.Fprintf(&b, ", instead of its decision: %s", o.Late.Reason)
		}
		if o.Block != nil {
			fmt.Fprintf(&b, ", blocked: %s, contact %s %+v", o.Block.Kind, o.Block.Card, o.Block.Contact)
		}
	}
	return b.String() + "\n"
}

// option is a line "with …" at the beginning of a script.
func option(t *testing.T, words []string) func(*Options) {
	return func(o *Options) {
		switch words[0] {
		case "strict":
			o.Peers[0].Dialect = Strict
		case "dialect":
			d, ok := ParseDialect(words[1])
			if !ok {
				t.Fatalf("%q is no dialect", words[1])
			}
			o.Peers[0].Dialect = d
		case "agreed":
			fmt.Sscan(strings.Join(words[1:], " "), &o.Peers[0].Go, &o.Peers[0].Stop)
		case "leaves-path":
			o.Peers[0].LeavesPath = true
		case "digest":
			o.Realm, o.Peers[0].Digest = flowRealm, flowDigest()
		case "strangers-answered":
			o.AnswerStrangers = true
		case "limit":
			o.Peers[0].CallsInSetup = 1
		case "rate":
			fmt.Sscan(words[1], &o.Peers[0].CallsPerSecond)
		case "emergency-rate":
			fmt.Sscan(words[1], &o.EmergencyRate)
		case "transactions":
			fmt.Sscan(words[1], &o.MaxTransactions)
		case "ipv6-carrier":
			n := o.Listeners[0].Conn.(*simnet.Conn)
			o.Listeners = append(o.Listeners, Listener{Conn: n.Network().Listen(gateAddr6), Advertised: gateAddr6})
			o.Carriers[0].Targets = []netip.AddrPort{carrier6}
		case "inbound":
			o.Inbound = map[policy.Number]Target{policy.MustNumber("+31205550100"): {Addr: dialerAddr}}
		case "first", "second", "third":
			carrierOption(t, words, o)
		case "named":
			namedOption(t, words, o)
		case "other-dialer":
			o.Peers[0].Sources = []netip.Prefix{netip.MustParsePrefix("192.0.2.99/32")}
		case "second-peer": // the stranger is another dialer
			o.Peers = append(o.Peers, Peer{Terms: &policy.PeerTerms{ID: "second", AllCampaigns: true, Plan: nl.Plan()}, Sources: []netip.Prefix{netip.PrefixFrom(otherAddr.Addr(), 32)}})
		case "out-of-dialog":
			o.OutOfDialog = words[1:]
		case "may-route":
			o.Peers[0].Terms.MayRoute = true
		case "trust":
			o.Peers[0].Terms.TrustIdentity = true
		case "displays-pai":
			o.Peers[0].Terms.TrustIdentity, o.Peers[0].Terms.DisplayFrom = true, policy.HeaderPAI
		case "other-carrier":
			o.Carriers[0].Targets = []netip.AddrPort{netip.MustParseAddrPort("198.51.100.99:5060")}
		default:
			t.Fatalf("unknown option %q", words[0])
		}
	}
}

// do carries out one line of a script.
func (s *stage) do(words []string, line string) {
	switch words[0] {
	case "dialer":
		s.dialer.act(words[1:])
	case "carrier", "first":
		s.carrier.act(words[1:])
	case "stranger":
		s.other.act(words[1:])
	case "second", "third":
		s.more[words[0]].act(words[1:])
	case "dns":
		s.dns.say(s.t, words[1:])
		s.ladder.Note(line)
	case "unreachable": // unreachable CARRIER: sending to it fails
		for a, name := range flowCarriers {
			if name == words[1] {
				s.unsent[a] = true
			}
		}
	case "judge": // judge allow|REASON [after DURATION [late refuse|permit]]
		s.verdict, s.after, s.late = words[1], 0, ""
		if len(words) > 3 {
			s.after = s.duration(words[3])
		}
		if len(words) > 5 {
			s.late = words[5]
		}
	case "lose": // lose N [ours] BEGINNING
		var n int
		fmt.Sscan(words[1], &n)
		s.lose[strings.Join(words[2:], " ")] = n
	case "wait":
		time.Sleep(s.duration(words[1]))
	case "restart":
		s.ladder.Note(line)
		s.restart()
	case "objection": // objection [NUMBER] [spares]: of the called by default
		number := "+31612345678"
		for _, w := range words[1:] {
			if s.spared = w == "spares"; !s.spared {
				number = w
			}
		}
		s.ladder.Note(line)
		s.proxy.Objected(policy.MustNumber(number))
	case "drain":
		s.proxy.draining.Store(true)
	case "reload": // reload OPTION...
		o := Options{Config: s.config}
		o.Peers, o.Carriers = slices.Clone(o.Peers), slices.Clone(o.Carriers)
		for _, w := range words[1:] {
			option(s.t, strings.Split(w, ","))(&o)
		}
		if err := s.proxy.Use(o.Config); err != nil {
			s.t.Fatal(err)
		}
		s.config = o.Config
		s.ladder.Note(line)
	case "note":
		s.ladder.Note(strings.TrimPrefix(line, "note "))
	default:
		s.t.Fatalf("unknown line %q", line)
	}
}

func (s *stage) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}
