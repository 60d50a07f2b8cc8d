package sipproxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dialgate/internal/simnet"
	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// TestMachines plays scripts of random messages from both sides.
func TestMachines(t *testing.T) {
	const scripts = 120
	for seed := range uint64(scripts) {
		r := rand.New(rand.NewPCG(seed, 20260701))
		script := make([]byte, 2*(10+r.IntN(60)))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playMachine(t, script) })
		})
	}
}

// FuzzMachines looks for scripts that random ones do not find.
func FuzzMachines(f *testing.F) {
	f.Add([]byte{0, 0, 9, 1, 9, 3, 4, 0, 5, 0})  // a call, answered and ended
	f.Add([]byte{0, 0, 9, 1, 3, 0, 9, 3, 4, 0})  // a CANCEL crosses the 200
	f.Add([]byte{0, 2, 3, 0, 13, 2, 9, 3, 4, 0}) // a CANCEL while the call waits for its record
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 400 {
			t.Skip("longer scripts show nothing more")
		}
		synctest.Test(t, func(t *testing.T) { playMachine(t, script) })
	})
}

// A machine is a proxy with a dialer and a carrier that send what bytes say:
// of each pair the first chooses what to do and the second how. Every datagram
// is looked at on its way.
type machine struct {
	*stage
	calls int // INVITEs that began one
	made  int // branches and tags made up

	mu      sync.Mutex
	lose    int                  // datagrams to lose from now on
	invites [][]byte             // INVITEs that the dialer sent, re-INVITEs too
	asked   [][]byte             // requests that the carrier received, but ACKs
	finals  [][]byte             // final responses to INVITEs that the dialer received
	allowed map[string]bool      // by Call-ID, once it is ruled
	reached map[string]bool      // branches of INVITEs that reached the proxy
	ended   map[string][]byte    // by branch and method: the final response, but a 2xx to an INVITE
	up      map[string]bool      // branches of INVITEs with a 2xx
	tried   map[string]bool      // branches of INVITEs that were sent a final response, lost or not
	born    map[string]time.Time // when the INVITE of a branch was first sent
}

// foreignNumber is one that nobody registered; some requests in a dialog show it.
const foreignNumber = "+31201234567"

// verdicts of the judge in a machine, by the number of the call: some at once,
// some when the dialer has long begun to repeat itself.
var verdicts = [...]struct {
	reason policy.Reason
	after  time.Duration
}{
	{policy.ReasonConsent, 0}, {policy.ReasonNoConsent, 0}, {policy.ReasonConsent, 700 * time.Millisecond},
	{policy.ReasonObjected, 700 * time.Millisecond}, {policy.ReasonConsent, 40 * time.Second}, {policy.ReasonConsent, 0},
}

func playMachine(t *testing.T, script []byte) {
	m := &machine{allowed: map[string]bool{}, reached: map[string]bool{}, ended: map[string][]byte{}, up: map[string]bool{}, tried: map[string]bool{}, born: map[string]time.Time{}}
	m.stage = newStage(t, func(o *Options) { o.Judge = m.judgeCall })
	m.net.Drop = func(simnet.Packet) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.lose--
		return m.lose >= 0
	}
	m.net.Tap = m.look
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("script %q\n%s", script, m.ladder)
		}
	})
	for i := 0; i+1 < len(script); i += 2 {
		m.step(script[i]%16, int(script[i+1]))
		synctest.Wait()
	}
	time.Sleep(6 * time.Minute)
	synctest.Wait()
	if servers, clients := m.proxy.layer.Count(); servers+clients > 0 {
		t.Errorf("%d server and %d client transactions are left", servers, clients)
	}
	if n, inSetup := len(m.proxy.open), m.proxy.inSetup; n > 0 || inSetup != 0 {
		t.Errorf("%d calls are still open, %d in set-up", n, inSetup)
	}
	for _, p := range m.config.Peers {
		if n := m.proxy.config.Load().peers[p.Terms.ID].inSetup; n != 0 {
			t.Errorf("%d calls count as in set-up after all have ended", n)
		}
	}
	for branch := range m.reached {
		if !m.tried[branch] {
			t.Errorf("the INVITE with branch %s has no final response", branch)
		}
	}
	var faults dto.Metric
	if err := m.proxy.metrics.panics.Write(&faults); err != nil || faults.GetCounter().GetValue() != 0 {
		t.Errorf("%v faults, %v", faults.GetCounter().GetValue(), err)
	}
}

// judgeCall rules by the number in the Call-ID.
func (m *machine) judgeCall(a *policy.Attempt, ready func(policy.Ruling)) {
	var n int
	fmt.Sscanf(a.CallID, "call%d", &n)
	is := verdicts[n%len(verdicts)]
	if a.Caller.Shown == policy.MustNumber(foreignNumber) {
		is.reason = policy.ReasonCallerNotRegistered
	}
	r := policy.Ruling{ID: policy.RulingID{15: byte(n)}}
	r.Decision.Reason = is.reason
	if is.reason.Allows() {
		r.Decision.Verdict = policy.Allowed
	}
	id := a.CallID
	rule := func() {
		m.mu.Lock()
		m.allowed[id] = m.allowed[id] || is.reason.Allows()
		m.mu.Unlock()
		ready(r)
	}
	if is.after == 0 {
		rule()
		return
	}
	time.AfterFunc(is.after, rule)
}

// look holds each datagram of the proxy's against what it may send.
func (m *machine) look(p simnet.Packet) {
	m.ladder.Add(p)
	var v message.View
	if err := v.Parse(p.Payload); err != nil {
		m.t.Errorf("what can't be read is on its way from %s to %s: %v\n%s", p.From, p.To, err, p.Payload)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case p.To == gateAddr && p.From == dialerAddr && v.IsMethod("INVITE") && !p.Lost:
		m.reached[string(v.Top.Branch)] = true
	case p.From != gateAddr:
	case p.To == carrierAddr && v.IsRequest():
		if !m.allowed[string(v.Value(message.CallID))] {
			m.t.Errorf("the carrier was sent a request of a call that was not allowed:\n%s", p.Payload)
		}
		if (v.IsMethod("INVITE") || v.IsMethod("UPDATE")) && bytes.Contains(v.Value(message.From), []byte(foreignNumber)) {
			m.t.Errorf("the carrier was shown a number that was not judged:\n%s", p.Payload)
		}
		if !v.IsMethod("ACK") && !p.Lost && len(m.asked) < 1000 {
			m.asked = append(m.asked, p.Payload)
		}
	case p.To == dialerAddr && !v.IsRequest():
		if v.Status >= 200 && string(v.CSeqMethod) == "INVITE" {
			m.tried[string(v.Top.Branch)] = true
		}
		if !p.Lost {
			m.answered(&v)
		}
	case p.To == otherAddr:
		m.t.Errorf("a stranger was sent:\n%s", p.Payload)
	}
}

// answered checks a response to the dialer: after a final one there is no
// other, but 2xx of further branches and the repetition of what was sent.
func (m *machine) answered(v *message.View) {
	branch := string(v.Top.Branch)
	key := branch + " " + string(v.CSeqMethod)
	invite := string(v.CSeqMethod) == "INVITE"
	before := m.ended[key]
	switch {
	case v.Status < 200 && (before != nil || m.up[branch]):
		m.t.Errorf("%d after a final response to %s", v.Status, key)
	case v.Status < 200:
	case invite && v.Status < 300:
		m.up[branch] = true
	case invite && m.up[branch]:
		m.t.Errorf("%d after a 2xx to %s", v.Status, key)
	case string(v.CSeqMethod) == "CANCEL": // answered without a transaction of its own
	case before != nil && !bytes.Equal(before, v.Raw):
		m.t.Errorf("two final responses to %s:\n%s\n%s", key, before, v.Raw)
	default:
		m.ended[key] = v.Raw
	}
	if v.Status >= 200 && invite && len(m.finals) < 1000 {
		m.finals = append(m.finals, v.Raw)
	}
}

// pick is one of what was seen, a late one rather than an early one.
func pick(of [][]byte, how int) *message.View {
	if len(of) == 0 {
		return nil
	}
	var v message.View
	if err := v.Parse(of[len(of)-1-how%min(len(of), 4)]); err != nil {
		return nil
	}
	return &v
}

var machineCodes = [...]int{100, 180, 183, 200, 486, 503, 603, 302, 404, 487, 500, 199, 202, 408, 600, 401}

// step does one thing.
func (m *machine) step(what byte, how int) {
	m.mu.Lock()
	invite, asked, final := pick(m.invites, how), pick(m.asked, how>>4), pick(m.finals, how)
	m.mu.Unlock()
	switch what {
	case 0: // another call
		m.calls++
		m.dial(fmt.Sprintf("call%d", how%len(verdicts)+len(verdicts)*m.calls), "", 1)
	case 1, 9, 10: // the carrier answers
		if asked != nil {
			m.carrier.send(asked.AppendResponse(nil, &message.Response{Status: machineCodes[how%16], Phrase: "x", ToTag: m.tag(how >> 6), Source: gateAddr, Extra: m.contact(asked)}))
		}
	case 2: // an INVITE comes again
		if invite != nil && m.mayRepeat(invite) {
			m.dialer.send(invite.Raw)
		}
	case 3:
		if invite != nil {
			m.dialer.send(invite.AppendCANCEL(nil, nil))
		}
	case 4: // the ACK for a final response, of whichever kind
		if final == nil {
			return
		}
		if final.Status < 300 {
			m.inDialog("ACK", final, how)
			return
		}
		for _, raw := range m.invites {
			var sent message.View
			if sent.Parse(raw) == nil && bytes.Equal(sent.Top.Branch, final.Top.Branch) {
				m.dialer.send(sent.AppendACK(nil, final.Value(message.To)))
			}
		}
	case 5, 6, 7: // a request in a dialog
		if final != nil {
			m.inDialog([...]string{"BYE", "INVITE", "UPDATE", "INFO", "PRACK", "REFER", "MESSAGE", "NOTIFY"}[how>>3%8], final, how)
		}
	case 8: // one that only claims to belong to a call
		m.calls++
		m.dial(fmt.Sprintf("call%d", how%len(verdicts)+len(verdicts)*m.calls), ";tag=made-up", 1)
	case 11: // the same INVITE by another way
		if invite != nil && len(invite.ToTag) == 0 && m.mayRepeat(invite) {
			m.dial(string(invite.Value(message.CallID)), "", int(invite.CSeqNumber))
		}
	case 12: // the carrier sends back what it was sent, or what it was answered
		if asked != nil {
			m.carrier.send(asked.AppendForward(nil, &message.Edits{Source: gateAddr, Via: []byte("SIP/2.0/UDP 198.51.100.5:5060;branch=z9hG4bK-b" + fmt.Sprint(m.made)), MaxForwards: max(0, asked.MaxForwards-1)}))
			m.made++
		}
	case 13:
		time.Sleep(time.Duration(how) * 10 * time.Millisecond)
	case 14:
		time.Sleep(time.Duration(how) * time.Second)
	case 15: // the network loses, the carrier hangs up, a stranger listens, or the configuration changes
		switch how % 4 {
		case 0:
			m.mu.Lock()
			m.lose = how >> 4
			m.mu.Unlock()
		case 1:
			if asked != nil && asked.IsMethod("INVITE") {
				m.hangUp(asked)
			}
		case 2:
			if invite != nil {
				m.other.send(invite.Raw)
			}
		case 3:
			c := m.config
			c.Peers = []Peer{c.Peers[0]}
			c.Peers[0].CallsInSetup = 0
			if err := m.proxy.Use(c); err != nil {
				m.t.Error(err)
			}
		}
	}
}

// mayRepeat reports whether a network in which no datagram lives for longer
// than timer T4 can still bring the INVITE again: its dialer repeats it until
// it is answered, or timer B ends.
func (m *machine) mayRepeat(v *message.View) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	branch := string(v.Top.Branch)
	age := time.Since(m.born[branch])
	return age < 4*time.Second || age < 32*time.Second && m.ended[branch+" INVITE"] == nil && !m.up[branch]
}

func (m *machine) tag(how int) []byte { return fmt.Appendf(nil, "fork%d", how) }

// contact is what a response to a request holds besides.
func (m *machine) contact(v *message.View) []byte {
	b := []byte("Contact: <sip:callee@198.51.100.5:5060>\r\n")
	for _, r := range recordRoutes(v) {
		b = append(append(append(b, "Record-Route: "...), r...), "\r\n"...)
	}
	return b
}

// dial sends an INVITE outside a dialog.
func (m *machine) dial(callID, toTag string, cseq int) {
	m.made++
	raw := fmt.Appendf(nil, "INVITE sip:+31612345678@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-m%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:+31205550100@dialer.example>;tag=d\r\nTo: <sip:+31612345678@carrier.example>%s\r\nCall-ID: %s\r\nCSeq: %d INVITE\r\n"+
		"Contact: <sip:d@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n", m.made, toTag, callID, cseq)
	m.invite(raw)
}

func (m *machine) invite(raw []byte) {
	m.mu.Lock()
	m.invites = append(m.invites, raw)
	m.born[fmt.Sprintf("z9hG4bK-m%d", m.made)] = time.Now()
	m.mu.Unlock()
	m.dialer.send(raw)
}

// inDialog sends a request along the route that a final response tells. Most
// carry our token, some do not.
func (m *machine) inDialog(method string, res *message.View, how int) {
	m.made++
	routes := recordRoutes(res)
	slices.Reverse(routes)
	var b strings.Builder
	fmt.Fprintf(&b, "%s sip:callee@198.51.100.5:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-m%d\r\nMax-Forwards: 70\r\n", method, m.made)
	if how>>6 != 3 {
		for _, r := range routes {
			fmt.Fprintf(&b, "Route: %s\r\n", r)
		}
	}
	from := string(res.Value(message.From))
	if how%5 == 0 && method != "ACK" {
		from = strings.Replace(from, "+31205550100", foreignNumber, 1)
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", from, res.Value(message.To), res.Value(message.CallID), 2+how%3, method)
	if method == "REFER" {
		b.WriteString("Refer-To: <sip:+31612345678@carrier.example>\r\n")
	}
	b.WriteString("Contact: <sip:d@192.0.2.10:5060>\r\nContent-Length: 0\r\n\r\n")
	raw := []byte(b.String())
	if method == "INVITE" {
		m.invite(raw)
		return
	}
	m.dialer.send(raw)
}

// hangUp sends a BYE from the carrier's side.
func (m *machine) hangUp(inv *message.View) {
	m.made++
	var b strings.Builder
	fmt.Fprintf(&b, "BYE sip:d@192.0.2.10:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.5:5060;branch=z9hG4bK-c%d\r\nMax-Forwards: 70\r\n", m.made)
	for _, r := range recordRoutes(inv) {
		fmt.Fprintf(&b, "Route: %s\r\n", r)
	}
	tag := ""
	if len(inv.ToTag) == 0 {
		tag = ";tag=fork0"
	}
	fmt.Fprintf(&b, "From: %s%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n", inv.Value(message.To), tag, inv.Value(message.From), inv.Value(message.CallID))
	m.carrier.send([]byte(b.String()))
}
