package sipproxy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"dialgate/policy"
	"dialgate/policy/nl"
	"dialgate/sipproxy/message"
)

// goldenReader knows what the golden INVITEs speak of: an energy supplier with
// a campaign of each kind, and a stranger with one. Most calls are for a purpose that
// needs no consent, since nothing is known of the called number.
func goldenReader(t testing.TB) *Reader {
	t.Helper()
	supplier, stranger := &policy.Advertiser{ID: "windkracht"}, &policy.Advertiser{ID: "other"}
	meter := &policy.Campaign{ID: "meter", Advertiser: supplier, Purpose: policy.Service, NoOffer: true}
	survey := &policy.Campaign{ID: "survey", Advertiser: supplier, Purpose: policy.Research, NoOffer: true}
	energy := &policy.Campaign{ID: "energy", Advertiser: supplier, Purpose: policy.Commercial}
	ringback := &policy.Campaign{ID: "ringback", Advertiser: supplier, Purpose: policy.Requested}
	notice := &policy.Campaign{ID: "notice", Advertiser: supplier, Purpose: policy.OtherPurpose, NoOffer: true}
	news := &policy.Campaign{ID: "news", Advertiser: supplier, Purpose: policy.Service} // does not attest that it offers nothing
	machine := &policy.Campaign{ID: "machine", Advertiser: supplier, Purpose: policy.Commercial, Mode: policy.Robocall}
	alarm := &policy.Campaign{ID: "alarm", Advertiser: supplier, Purpose: policy.Service, Mode: policy.Robocall, NoOffer: true}
	other := &policy.Campaign{ID: "other", Advertiser: stranger, Purpose: policy.Service, NoOffer: true}
	caller := func(number string, of ...*policy.Campaign) *policy.CallerNumber {
		return &policy.CallerNumber{Number: policy.MustNumber(number), Campaigns: of}
	}
	tested := caller("+318001235", meter)
	tested.CallbackTestedAt, _ = policy.ParseDate("2026-06-01")
	callers := []*policy.CallerNumber{
		caller("+31205550100", meter, energy), caller("+31205550101", meter, survey),
		caller("+319001234567", meter), caller("+318001234", meter), caller("+31840001234", meter), caller("+3197012345678", meter),
		caller("+31661234567", meter), caller("+31687654321", meter), caller("+31205550199", other),
		caller("+31205550102", ringback), caller("+31205550103", notice), caller("+31205550104", machine),
		caller("+31205550105", news), caller("+31205550106", alarm), caller("+31205550107", energy), tested,
	}
	// Numbers that are registered, so that only their class decides.
	for _, number := range []string{"+31201234567", "+31209876543", "+31111134567", "+31601234567", "+31691234567", "+31671234567", "+31821234567", "+31871234567",
		"+31851234567", "+31882345678", "+31912345678", "+319061234567", "+319091234", "+31999123456", "+49301234567", "+442079460123",
		"+12025550123", "+5997171234", "+59995550123", "+80012345678", "+80812345678", "+979123456789", "+8816123456789", "+999123456789",
		"+44123456", "+3222345678", "+310205550100"} {
		callers = append(callers, caller(number, meter))
	}
	d, err := policy.NewDirectory([]*policy.Campaign{meter, survey, energy, ringback, notice, news, machine, alarm, other}, callers, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Reader{Directory: d, Plans: policy.NewPlans(nl.Plan()), Home: nl.Plan(), Emergency: map[string]bool{"112": true}}
}

// goldenPeer is the supplier's dialer, with the terms that a case changes:
// lines of "name: value".
func goldenPeer(t testing.TB, r *Reader, terms string) *policy.PeerTerms {
	t.Helper()
	p := &policy.PeerTerms{ID: "dialer", Campaigns: []string{"meter", "survey"}, TrustIdentity: true, Plan: r.Plans.ByCountry("NL")}
	for line := range strings.Lines(terms) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		yes := value == "yes"
		switch name {
		case "":
		case "unknown":
			return nil
		case "campaigns":
			p.Campaigns = strings.Fields(value)
			p.AllCampaigns = value == "*"
		case "names":
			p.Names = strings.Fields(value)
		case "display_from":
			p.DisplayFrom, _ = policy.ParseIdentityHeader(value)
		case "trust_identity":
			p.TrustIdentity = yes
		case "no_screening":
			p.NoScreening = yes
		case "may_forward":
			p.MayForward = yes
		case "may_route":
			p.MayRoute = yes
		case "sdp":
			p.StrictSDP = value == "strict"
		case "strip":
			p.StripPrefixes = strings.Fields(value)
		case "country":
			p.Plan = r.Plans.ByCountry(value)
		default:
			t.Fatalf("there is no term %q", name)
		}
	}
	return p
}

// crlf makes a message of the text in a golden file.
func crlf(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")) }

// TestGoldenInvites reads whole INVITEs as they come from the wire and judges
// them by the base rules and the Dutch book. Each file holds one theme; a case is an optional
// peer, the INVITE, and what is wanted of it.
func TestGoldenInvites(t *testing.T) {
	r := goldenReader(t)
	books, err := policy.NewBooks(policy.Settings{}, nl.Book())
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join("testdata", "invites", "*.txtar"))
	count := 0
	for _, file := range files {
		set, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		peer, got := "", ""
		for i := range set.Files {
			f := &set.Files[i]
			name, part, _ := strings.Cut(f.Name, "/")
			switch part {
			case "peer":
				peer = string(f.Data)
			case "invite":
				got = judged(t, r, books, goldenPeer(t, r, peer), crlf(f.Data))
				peer = ""
			case "want":
				count++
				if *rewrite {
					f.Data = []byte(got + "\n")
				} else if want := strings.TrimRight(string(f.Data), "\n") + "\n"; got != want {
					t.Errorf("%s, %s: got\n%swant\n%s", filepath.Base(file), name, got, want)
				}
			default:
				t.Errorf("%s: %q is no part of a case", filepath.Base(file), f.Name)
			}
		}
		if *rewrite {
			if err := os.WriteFile(file, txtar.Format(set), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if count < 550 {
		t.Errorf("only %d cases were found", count)
	}
}

// judged is what comes of an INVITE, in lines.
func judged(t testing.TB, r *Reader, books *policy.Books, peer *policy.PeerTerms, raw []byte) string {
	t.Helper()
	var v message.View
	if err := v.Parse(raw); err != nil {
		return err.Error() + "\n"
	}
	var a policy.Attempt
	r.Read(&v, peer, &a)
	a.At = time.Date(2026, 7, 15, 8, 0, 0, 0, time.UTC)
	d := books.Explain(&a, &policy.Facts{})
	if silent := books.Decide(&a, &policy.Facts{}); silent.Verdict != d.Verdict || silent.Reason != d.Reason {
		t.Errorf("explained the call is %s (%s), else %s (%s)", d.Verdict, d.Reason, silent.Verdict, silent.Reason)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", d.Verdict, d.Reason)
	if f := d.Deciding(); f != nil {
		fmt.Fprintf(&b, "because: %s: %s\n", f.Rule.ID, f.Note)
	}
	if c := a.Caller; c.Shown.IsZero() {
		fmt.Fprintf(&b, "caller: %q by %s\n", c.Text, c.From.Header())
	} else {
		fmt.Fprintf(&b, "caller: %s by %s\n", c.Shown, c.From.Header())
	}
	switch {
	case !a.Called.Number.IsZero():
		fmt.Fprintf(&b, "called: %s, %s\n", a.Called.Number, a.Called.Class)
	default:
		fmt.Fprintf(&b, "called: %q, %s\n", a.Called.Text, a.Called.Class)
	}
	if a.Campaign != nil {
		fmt.Fprintf(&b, "campaign: %s, %s\n", a.Campaign.ID, a.Mode())
	}
	for _, m := range a.Media {
		fmt.Fprintf(&b, "offers: %s\n", m)
	}
	for _, m := range a.Caller.Marks {
		fmt.Fprintf(&b, "%s: %s\n", m.Kind, m.Sentence())
	}
	return b.String()
}

// TestReadingPrintsNoNumber: nothing of an attempt but its numbers holds one.
func TestReadingPrintsNoNumber(t *testing.T) {
	r := goldenReader(t)
	peer := goldenPeer(t, r, "country: none")
	var v message.View
	raw := crlf([]byte("INVITE sip:0612345678x@h SIP/2.0\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\nFrom: \"06-87654321 0612345678\" <sip:0205550100@h>;tag=1\n" +
		"To: <sip:x@h>\nCall-ID: 1\nCSeq: 1 INVITE\nP-Asserted-Identity: <sip:06123456789012@anonymous.invalid>\n\n"))
	if err := v.Parse(raw); err != nil {
		t.Fatal(err)
	}
	var a policy.Attempt
	r.Read(&v, peer, &a)
	out := fmt.Sprintf("%+v", a)
	for _, digits := range []string{"0612345678", "5550100", "87654321"} {
		if strings.Contains(out, digits) {
			t.Errorf("%s stands in %s", digits, out)
		}
	}
}

// TestReadingIsPure: the message is not changed, and read twice it says the same.
func TestReadingIsPure(t *testing.T) {
	r := goldenReader(t)
	raw := crlf([]byte(benchInvite))
	before := slices.Clone(raw)
	var v message.View
	if err := v.Parse(raw); err != nil {
		t.Fatal(err)
	}
	var a, b policy.Attempt
	peer := goldenPeer(t, r, "")
	r.Read(&v, peer, &a)
	r.Read(&v, peer, &b)
	if !bytes.Equal(raw, before) || fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) {
		t.Error("reading a message changes something")
	}
}

// benchInvite is what a common open-source PBX sends, with its offer.
const benchInvite = `INVITE sip:+31612345678@203.0.113.80 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3f1c9a52-7c1e-4d0f-9a55-0d1c2b3a4f5e
From: "Windkracht" <sip:+31205550100@192.0.2.10>;tag=8d7e6f5a-4b3c-4d2e-9f10-a1b2c3d4e5f6
To: <sip:+31612345678@203.0.113.80>
Contact: <sip:dialer@192.0.2.10:5060>
Call-ID: 5c6d7e8f-1a2b-4c3d-8e4f-5a6b7c8d9e0f
CSeq: 21342 INVITE
Allow: OPTIONS, INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, REFER, NOTIFY, INFO, MESSAGE
Supported: 100rel, timer, replaces, norefersub
Session-Expires: 1800
Min-SE: 90
P-Asserted-Identity: "Windkracht" <sip:+31205550100@192.0.2.10>
Max-Forwards: 70
User-Agent: PBX
Content-Type: application/sdp

v=0
o=- 174523 174523 IN IP4 192.0.2.10
s=PBX
c=IN IP4 192.0.2.10
t=0 0
m=audio 11532 RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
`

func BenchmarkRead(b *testing.B) {
	r := goldenReader(b)
	peer := goldenPeer(b, r, "")
	var v message.View
	if err := v.Parse(crlf([]byte(benchInvite))); err != nil {
		b.Fatal(err)
	}
	var a policy.Attempt
	b.ReportAllocs()
	for b.Loop() {
		r.Read(&v, peer, &a)
	}
	if a.Campaign == nil || len(a.Caller.Marks) > 0 {
		b.Fatal("the call was not read as an ordinary one")
	}
}

func BenchmarkReadHidden(b *testing.B) {
	r := goldenReader(b)
	peer := goldenPeer(b, r, "")
	var v message.View
	if err := v.Parse(crlf([]byte(strings.Replace(benchInvite, "Min-SE: 90", "Privacy: id", 1)))); err != nil {
		b.Fatal(err)
	}
	var a policy.Attempt
	b.ReportAllocs()
	for b.Loop() {
		r.Read(&v, peer, &a)
	}
}
