package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A receiver is somebody else's program: it verifies as the text of Standard
// Webhooks says, knowing nothing of the code under test, and keeps what it took.
type receiver struct {
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	secret string
	answer func(n int) int // status of the nth request, from 1
	asked  int
	took   []string // ids that were answered 200
	bodies []map[string]any
	wrong  []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, answer: func(int) int { return 200 }}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

// verify is the scheme of the specification: HMAC-SHA256 over id, timestamp and
// body, joined by full stops, with the secret's octets; any one of the
// signatures will do, and the timestamp is not far off.
func verify(secret string, h http.Header, body []byte) error {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if id == "" || err != nil {
		return fmt.Errorf("no id or timestamp: %q %q", id, stamp)
	}
	if off := time.Since(time.Unix(seconds, 0)); off > 5*time.Minute || off < -5*time.Minute {
		return fmt.Errorf("the timestamp is off by %s", off)
	}
	rest, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return fmt.Errorf("no secret: %q", secret)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	for _, s := range strings.Split(h.Get("webhook-signature"), " ") {
		version, text, _ := strings.Cut(s, ",")
		given, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(given, mac.Sum(nil)) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if err := verify(r.secret, req.Header, body); err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	if kind := req.Header.Get("Content-Type"); kind != "application/json" || req.Method != "POST" {
		r.wrong = append(r.wrong, req.Method+" "+kind)
	}
	status := r.answer(r.asked)
	if status == 200 {
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			r.wrong = append(r.wrong, err.Error())
		}
		r.took, r.bodies = append(r.took, req.Header.Get("webhook-id")), append(r.bodies, v)
	}
	if status/100 == 3 {
		w.Header().Set("Location", "http://"+req.Host+"/elsewhere")
	}
	w.WriteHeader(status)
}

func (r *receiver) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.took)
}

// A log stands for the ledger: so many events, one a record, each third of
// which nobody wants.
type log struct {
	mu    sync.Mutex
	end   uint64
	first uint64
	looks []uint64
	deny  error // of Sends
}

func (l *log) grow(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end += n
}

func (l *log) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func eventID(seq uint64) string { return fmt.Sprint("evt_", seq) }

func (l *log) read(_ *Hook, after uint64) (m []Message, last, missed uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first > after+1 {
		missed, after = l.first-1-after, l.first-1
	}
	last = min(l.end, after+7)
	for seq := after + 1; seq <= last; seq++ {
		if seq%3 != 0 {
			m = append(m, Message{Seq: seq, ID: eventID(seq), Type: "decision.deny", At: time.Unix(int64(seq), 0), Data: map[string]uint64{"seq": seq}})
		}
	}
	return m, last, missed, nil
}

func (l *log) sends(_ *Hook, m *Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deny == nil {
		l.looks = append(l.looks, m.Seq)
	}
	return l.deny
}

// wanted are the ids of the events from one record to another.
func wanted(from, to uint64) (ids []string) {
	for seq := from; seq <= to; seq++ {
		if seq%3 != 0 {
			ids = append(ids, eventID(seq))
		}
	}
	return ids
}

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	quick    = Pace{Poll: 2 * time.Millisecond, First: 2 * time.Millisecond, Longest: 10 * time.Millisecond, GiveUp: time.Hour, Tries: 1000}
)

func openHooks(t *testing.T, dir string, l *log, pace Pace) *Hooks {
	t.Helper()
	s, err := Open(Options{Dir: dir, Allowed: loopback, Agent: "dialgate/test", Log: slog.New(slog.DiscardHandler), Now: time.Now, Read: l.read, Sends: l.sends, End: l.last, Pace: pace})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addHook(t *testing.T, s *Hooks, r *receiver) *Hook {
	t.Helper()
	secret, h, err := s.Add(Hook{Name: "crm", URL: r.server.URL + "/hooks?key=hidden", Role: "viewer", Events: []string{Decision}})
	if err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.secret = secret })
	return h
}

// until waits for something that is about to happen.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 2000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%s does not come", what)
}

func state(s *Hooks) *State { return &s.List()[0].State }

// check holds what was taken against what was to be told: all of it, in order,
// once when nothing went wrong, and each signed.
func (r *receiver) check(want []string, again bool) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	got := slices.Clone(r.took)
	if again { // what was told twice follows at once
		got = slices.Compact(got)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("told of %v, want %v", r.took, want)
	}
	for _, w := range r.wrong {
		r.t.Error(w)
	}
}

// TestEventsComeInOrderAndSigned, and only those that are recorded from then on.
func TestEventsComeInOrderAndSigned(t *testing.T) {
	l, r := &log{end: 5}, newReceiver(t)
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	addHook(t, s, r)
	l.grow(30)
	until(t, "the last event", func() bool { return state(s).Cursor == 35 })
	r.check(wanted(6, 35), false)
	if b := r.bodies[0]; b["type"] != "decision.deny" || b["timestamp"] != "1970-01-01T00:00:07Z" || b["data"].(map[string]any)["seq"] != 7.0 {
		t.Error(b)
	}
	if st := state(s); st.Delivered != 20 || st.Is() != "working" || st.Last.IsZero() {
		t.Errorf("%+v", st)
	}
	if !slices.IsSorted(l.looks) || len(l.looks) != 20 {
		t.Errorf("%d looks at %v", len(l.looks), l.looks)
	}
}

// TestFailuresAreTriedAgain: no event is lost or overtaken, whatever the
// endpoint answers, and a look at it is asked for once.
func TestFailuresAreTriedAgain(t *testing.T) {
	l, r := &log{}, newReceiver(t)
	answers := []int{500, 429, 301, 200, 404, 200, 503, 503, 200}
	r.answer = func(n int) int {
		if n <= len(answers) {
			return answers[n-1]
		}
		return 200
	}
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	addHook(t, s, r)
	l.grow(20)
	until(t, "the last event", func() bool { return state(s).Cursor == 20 })
	r.check(wanted(1, 20), false)
	if st := state(s); st.Is() != "working" || st.Why != "" || st.Tries != 0 {
		t.Errorf("%+v", st)
	}
	if len(l.looks) != len(r.took) {
		t.Errorf("%d looks for %d events", len(l.looks), len(r.took))
	}
}

// TestALookThatIsNotRecordedIsNotHad: nothing is sent.
func TestALookThatIsNotRecordedIsNotHad(t *testing.T) {
	l, r := &log{deny: errors.New("the ledger does not take it")}, newReceiver(t)
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	addHook(t, s, r)
	l.grow(3)
	until(t, "the failure", func() bool { return state(s).Is() == "failing" })
	if r.asked != 0 || !strings.Contains(state(s).Why, "does not take it") {
		t.Errorf("%d requests, %+v", r.asked, state(s))
	}
}

// TestARestartLosesNothing: the endpoint is away while the node stops and starts
// again, also when the node did not get to write down how far it was.
func TestARestartLosesNothing(t *testing.T) {
	dir := t.TempDir()
	l, r := &log{}, newReceiver(t)
	s := openHooks(t, dir, l, quick)
	addHook(t, s, r)
	l.grow(10)
	until(t, "the tenth event", func() bool { return state(s).Cursor == 10 })
	crashed, err := os.ReadFile(filepath.Join(dir, FileName)) // as a crash would leave it
	if err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.answer = func(int) int { return 503 } })
	l.grow(10)
	until(t, "the failure", func() bool { return state(s).Is() == "failing" })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.grow(10)
	s = openHooks(t, dir, l, quick)
	r.set(func() { r.answer = func(int) int { return 200 } })
	until(t, "the thirtieth event", func() bool { return state(s).Cursor == 30 })
	r.check(wanted(1, 30), true) // the end may have cut a delivery off that arrived all the same
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), crashed, 0o600); err != nil {
		t.Fatal(err)
	}
	r.set(func() { r.took = nil })
	s = openHooks(t, dir, l, quick)
	defer s.Close()
	until(t, "the thirtieth event again", func() bool { return state(s).Cursor == 30 })
	got := r.ids()
	if at := slices.Index(wanted(1, 30), got[0]); at < 0 || !slices.Equal(got, wanted(1, 30)[at:]) {
		t.Errorf("after a crash it was told of %v", got)
	}
}

// TestALedgerThatWasBroughtBack: what is recorded anew is told of, though the
// endpoint was told of more before.
func TestALedgerThatWasBroughtBack(t *testing.T) {
	dir := t.TempDir()
	l, r := &log{}, newReceiver(t)
	s := openHooks(t, dir, l, quick)
	addHook(t, s, r)
	l.grow(20)
	until(t, "the last event", func() bool { return state(s).Cursor == 20 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.end, r.took = 9, nil
	s = openHooks(t, dir, l, quick)
	defer s.Close()
	l.grow(4)
	until(t, "the new events", func() bool { return state(s).Cursor == 13 })
	r.check(wanted(10, 13), false)
}

// TestGoneMeansGone: an endpoint that answers 410, or takes nothing for too
// long, is given up with a reason, and goes on where it stood when it is enabled.
func TestGoneMeansGone(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		pace   Pace
	}{
		"410":  {410, quick},
		"days": {500, Pace{Poll: quick.Poll, First: quick.First, Longest: quick.Longest, GiveUp: 20 * time.Millisecond, Tries: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			l, r := &log{}, newReceiver(t)
			r.answer = func(int) int { return c.status }
			s := openHooks(t, t.TempDir(), l, c.pace)
			defer s.Close()
			h := addHook(t, s, r)
			l.grow(8)
			until(t, "the end", func() bool { return state(s).Is() == "disabled" })
			if st := state(s); !strings.Contains(st.Why, strconv.Itoa(c.status)) || c.status == 410 && st.Tries != 1 {
				t.Errorf("%+v", st)
			}
			asked := r.asked
			l.grow(4)
			time.Sleep(30 * time.Millisecond)
			if r.set(func() { r.answer = func(int) int { return 200 } }); r.asked != asked {
				t.Error("it was asked again")
			}
			if result, err := s.Test(context.Background(), h.ID); err != nil || !result.Delivered() {
				t.Errorf("%+v %v", result, err)
			}
			r.set(func() { r.took = nil })
			if err := s.Enable(h.ID, false); err != nil {
				t.Fatal(err)
			}
			until(t, "the last event", func() bool { return state(s).Cursor == 12 })
			r.check(wanted(1, 12), false)
			if err := s.Enable("none", false); !errors.Is(err, ErrUnknown) {
				t.Error(err)
			}
		})
	}
}

// TestSkippingGoesOnAtTheEnd.
func TestSkippingGoesOnAtTheEnd(t *testing.T) {
	l, r := &log{}, newReceiver(t)
	r.answer = func(int) int { return 410 }
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	h := addHook(t, s, r)
	l.grow(8)
	until(t, "the end", func() bool { return state(s).Is() == "disabled" })
	r.set(func() { r.answer = func(int) int { return 200 } })
	if err := s.Enable(h.ID, true); err != nil {
		t.Fatal(err)
	}
	l.grow(2)
	until(t, "the last event", func() bool { return state(s).Cursor == 10 })
	r.check(wanted(9, 10), false)
}

// TestWhatRetentionRemovedIsCounted.
func TestWhatRetentionRemovedIsCounted(t *testing.T) {
	l, r := &log{}, newReceiver(t)
	r.answer = func(int) int { return 503 }
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	addHook(t, s, r)
	l.grow(20)
	until(t, "the failure", func() bool { return state(s).Is() == "failing" })
	l.mu.Lock()
	l.first = 11
	l.mu.Unlock()
	tries := state(s).Tries // the next one may be of what was read before, the one after it is not
	until(t, "two more tries", func() bool { return state(s).Tries >= tries+2 })
	r.set(func() { r.answer = func(int) int { return 200 } })
	until(t, "the last event", func() bool { return state(s).Cursor == 20 })
	if st := state(s); st.Missed != 10 {
		t.Errorf("%+v", st)
	}
	r.check(wanted(11, 20), false)
}

// TestTwoSecretsSignWhileOneIsReplaced: whoever verifies with either is content,
// and the old one is worth nothing afterwards.
func TestTwoSecretsSignWhileOneIsReplaced(t *testing.T) {
	l, r := &log{}, newReceiver(t)
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	h := addHook(t, s, r)
	old := r.secret
	next, err := s.Rotate(h.ID)
	if err != nil || next == old {
		t.Fatal(next, err)
	}
	for _, secret := range []string{old, next} {
		r.set(func() { r.secret = secret })
		if result, err := s.Test(context.Background(), h.ID); err != nil || !result.Delivered() {
			t.Errorf("%+v %v", result, err)
		}
	}
	for range 5 {
		if _, err := s.Rotate(h.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.List()[0].Secrets); n != maxSecrets {
		t.Errorf("%d secrets", n)
	}
	now := time.Now()
	secrets := []Secret{{Key: next}, {Key: old, Until: now.Add(overlap)}}
	for at, want := range map[time.Time]int{now: 2, now.Add(overlap - 1): 2, now.Add(overlap): 1} {
		got, err := sign(secrets, "evt_1", at, []byte("{}"))
		if err != nil || len(strings.Fields(got)) != want {
			t.Errorf("at %s: %q, %v", at, got, err)
		}
	}
	if len(r.wrong) > 0 {
		t.Error(r.wrong)
	}
}

// TestSecretsAreKeptWell: in a file that only its owner may read, and in no log.
func TestSecretsAreKeptWell(t *testing.T) {
	dir := t.TempDir()
	l, r := &log{}, newReceiver(t)
	r.answer = func(int) int { return 410 }
	var text strings.Builder
	s, err := Open(Options{Dir: dir, Allowed: loopback, Log: slog.New(slog.NewTextHandler(&text, nil)), Now: time.Now, Read: l.read, Sends: l.sends, End: l.last, Pace: quick})
	if err != nil {
		t.Fatal(err)
	}
	addHook(t, s, r)
	l.grow(2)
	until(t, "the end", func() bool { return state(s).Is() == "disabled" })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if logged := text.String(); strings.Contains(logged, r.secret[8:]) || strings.Contains(logged, "hidden") || !strings.Contains(logged, "given up") {
		t.Error(logged)
	}
	path := filepath.Join(dir, FileName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, Log: slog.New(slog.DiscardHandler), Now: time.Now, End: l.last}); err == nil || !strings.Contains(err.Error(), "make it 600") {
		t.Error(err)
	}
}

// TestWhatIsReached: nothing but the open internet unless the configuration
// says so, whatever a name leads to.
func TestWhatIsReached(t *testing.T) {
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2a00:1450:4001::1": true, "185.1.2.3": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false,
		"224.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false, "::1": false, "::": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "::ffff:10.0.0.1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "2001::1": false, "2001:db8::1": false, "ff02::1": false, "fec0::1": false,
	} {
		a := netip.MustParseAddr(address)
		if got := (&reach{}).check(a) == nil; got != want {
			t.Errorf("%s is reached: %v", address, got)
		}
		if err := (&reach{plain: true}).check(a); err == nil {
			t.Errorf("%s is reached without TLS", address)
		}
		if err := (&reach{allowed: []netip.Prefix{netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen())}, plain: true}).check(a); err != nil {
			t.Errorf("%s is allowed: %v", address, err)
		}
	}
	for text, want := range map[string]bool{
		"https://crm.example/hooks": true, "https://8.8.8.8:8443/": true, "http://crm.example/": false, "https://10.0.0.1/": false, "https://[::1]/": false, "ftp://crm.example/": false, "https:///x": false,
		"https://u:p@crm.example/": false, "https://crm.example/#x": false, "/hooks": false, "": false, "https://crm.example/" + strings.Repeat("x", 3000): false, "https://crm.example/a b": false, "https://2130706433/": true,
	} {
		if err := checkURL(text, nil); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	// A name that leads to this host: looked at when it is connected to. So is
	// an address written as one number, which a resolver may take for 127.0.0.1.
	r := newReceiver(t)
	_, port, _ := net.SplitHostPort(r.server.Listener.Addr().String())
	c := newClient("", nil)
	defer c.close()
	for _, url := range []string{"http://localhost:" + port, "https://localhost:" + port, "https://2130706433:" + port} {
		if result := c.send(context.Background(), &Hook{URL: url}, &Message{ID: "a"}, time.Now()); result.Delivered() || r.asked != 0 {
			t.Errorf("%s: %+v", url, result)
		}
	}
}

// TestADeliveryIsBounded: in time, and in what is read of an answer; another
// address is not followed.
func TestADeliveryIsBounded(t *testing.T) {
	hang := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer hangs.Close()
	defer close(hang)
	floods := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<16); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer floods.Close()
	c := newClient("", loopback)
	defer c.close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if r := c.send(ctx, &Hook{URL: hangs.URL}, &Message{ID: "a"}, time.Now()); r.Why != "did not answer in time" {
		t.Errorf("%+v", r)
	}
	if c.plain.Timeout != answerWithin || c.secure.Timeout != answerWithin {
		t.Error("a delivery can take longer than it may")
	}
	began := time.Now()
	if r := c.send(context.Background(), &Hook{URL: floods.URL}, &Message{ID: "a"}, time.Now()); !r.Delivered() || time.Since(began) > 5*time.Second {
		t.Errorf("%+v after %s", r, time.Since(began))
	}
	r := newReceiver(t)
	r.answer = func(int) int { return 307 }
	if result := c.send(context.Background(), &Hook{URL: r.server.URL}, &Message{ID: "a"}, time.Now()); result.Delivered() || r.asked != 1 || !strings.Contains(result.Why, "not followed") {
		t.Errorf("%+v after %d requests", result, r.asked)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if result := c.send(context.Background(), &Hook{URL: gone.URL + "/secret"}, &Message{ID: "a"}, time.Now()); result.Delivered() || strings.Contains(result.Why, "secret") {
		t.Errorf("%+v", result)
	}
}

// TestBackoff doubles up to a bound, half of it by chance; a Retry-After is
// believed within reason.
func TestBackoff(t *testing.T) {
	p := &usualPace
	for tries, most := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 11: time.Hour, 1000: time.Hour} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := backoff(p, tries)
			if d < most/2 || d > most {
				t.Errorf("%d tries: %s", tries, d)
			}
			seen[d] = true
		}
		if len(seen) < 10 {
			t.Errorf("%d tries: chance has no part in it", tries)
		}
	}
	for after, want := range map[string]time.Duration{"7": 7 * time.Second, "999999": longestRest, "-1": 0, "soon": 0, "": 0} {
		res := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {after}}}
		if r := judge(res); r.rest != want {
			t.Errorf("Retry-After %q: %s", after, r.rest)
		}
	}
}

// TestEndpointsAreBounded.
func TestEndpointsAreBounded(t *testing.T) {
	l, r := &log{}, newReceiver(t)
	s := openHooks(t, t.TempDir(), l, quick)
	defer s.Close()
	for range maxHooks {
		addHook(t, s, r)
	}
	if _, _, err := s.Add(Hook{Name: "one more"}); err == nil {
		t.Error("one too many was made")
	}
	first := s.List()[0].ID
	if err := s.Remove(first); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(first); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	l.grow(2)
	until(t, "the events at all others", func() bool { return len(r.ids()) == 2*(maxHooks-1) })
}

// FuzzURL: an address that is taken has a host, and names no address that is
// not reached.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://crm.example/hooks", "http://[::ffff:127.0.0.1]:80/", "https://0x7f.1/", "https://u@h/", "HTTPS://H", "https://[fe80::1%25eth0]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkURL(text, nil) != nil {
			return
		}
		req, err := http.NewRequest("POST", text, nil)
		if err != nil || req.URL.Hostname() == "" || req.URL.Scheme != "https" || req.URL.User != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		if a, err := netip.ParseAddr(req.URL.Hostname()); err == nil && !open(a.Unmap()) {
			t.Errorf("%q is taken", text)
		}
	})
}
