package sipproxy

import (
	"strings"
	"testing"
	"testing/synctest"

	"dialgate/policy"
	"dialgate/sipproxy/message"
)

// TestDialectsAreTold: each row is its own, has every class, and no refusal
// can be taken for a go.
func TestDialectsAreTold(t *testing.T) {
	for _, d := range Dialects() {
		if back, ok := ParseDialect(d.String()); !ok || back != d {
			t.Errorf("%s is not found by its name", d)
		}
		if dialectTexts[d] == "" {
			t.Errorf("%s has no text", d)
		}
		p := Peer{Dialect: d}
		for c := range classes {
			a := p.say(c, "why", 5)
			if a.Code < 400 || a.Code > 699 || a.Phrase == "" {
				t.Errorf("%s, %s: %+v", d, c, a)
			}
			if d.Redirects() && a.Code == p.Allowed().Code {
				t.Errorf("%s, %s: %d also means go", d, c, a.Code)
			}
			if a.Code == 480 && a.Q850 != 0 {
				t.Errorf("%s, %s: a Q.850 line turns 480 into a rejection", d, c)
			}
		}
		if a := p.Answer(policy.ReasonNoConsent); a.Text != "no-consent" {
			t.Errorf("%s: %+v", d, a)
		}
	}
	if _, ok := ParseDialect("loud"); ok {
		t.Error("loud is no dialect")
	}
}

func TestGoesRound(t *testing.T) {
	for _, d := range Dialects() {
		rounds := (&Peer{Dialect: d}).GoesRound()
		if (len(rounds) > 0) != (d == Strict) {
			t.Errorf("%s: %v", d, rounds)
		}
	}
	agreed := Peer{Dialect: RedirectTeleblock, Stop: 503}
	if rounds := agreed.GoesRound(); len(rounds) != 1 || rounds[0].Code != 503 {
		t.Errorf("503 was agreed for stop: %v", rounds)
	}
}

// TestRedirectContact: the Contact leads to the carrier, with the number as it
// was judged; nothing of what was dialled is left in it.
func TestRedirectContact(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:0031612345678;ext=1@192.0.2.1": "<sip:+31612345678@198.51.100.5:5060;user=phone>",
		"sip:0612345678@192.0.2.1":          "<sip:+31612345678@198.51.100.5:5060;user=phone>",
		"tel:+31612345678":                  "<sip:+31612345678@198.51.100.5:5060;user=phone>",
		"urn:service:sos":                   "<sip:112@198.51.100.5:5060;user=phone>",
		"sip:112@192.0.2.1":                 "<sip:112@198.51.100.5:5060;user=phone>",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, func(o *Options) { o.Peers[0].Dialect = Redirect302 })
			s.dialer.act([]string{"INVITE", "uri=" + uri})
			synctest.Wait()
			var v message.View
			if err := v.Parse(s.dialer.final); err != nil {
				t.Fatal(err)
			}
			if got := string(v.Value(message.Contact)); v.Status != 302 || got != want {
				t.Errorf("%s: %d %s, want %s", uri, v.Status, got, want)
			}
			if !strings.Contains(string(v.Raw), "Warning: 399 gate \"dialgate allowed") {
				t.Errorf("no Warning in\n%s", v.Raw)
			}
			if s.carrier.received != nil {
				t.Error("the carrier got a request")
			}
			s.dialer.act([]string{"ACK"})
		})
	}
}
