package sipproxy

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
)

// TestAnyFailover plays what three carriers and a dialer may do, in any order:
// the dialer gets one final response or the 2xx, nobody new is asked when that
// is forbidden, and nothing is left behind.
func TestAnyFailover(t *testing.T) {
	events := []string{"wait 100ms", "wait 1s", "wait 3s", "wait 25s", "dialer CANCEL"}
	for _, who := range []string{"first", "second", "third"} {
		for _, what := range []string{"100", "180", "183", "200", "404", "486", "500", "503", "503 header=Retry-After:_5", "603", "487"} {
			events = append(events, who+" "+what)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		script := rapid.SliceOfN(rapid.SampledFrom(events), 1, 12).Draw(rt, "events")
		probing := rapid.SampledFrom([]string{"", " probing=20"}).Draw(rt, "probing")
		var wrong string
		synctest.Test(t, func(t *testing.T) { wrong = anyFailover(t, script, probing) })
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

func anyFailover(t *testing.T, script []string, probing string) string {
	s := perform(t, "with first failover=500"+probing+"\nwith second priority=1 weight=1"+probing+"\nwith third priority=1 weight=2\nnote it begins")
	var finals, asked []string // as they came, each once
	closed, wrong := "", ""    // why nobody new may be asked
	var mu sync.Mutex
	watch := func(p simnet.Packet) {
		mu.Lock()
		defer mu.Unlock()
		var v message.View
		if v.Parse(p.Payload) != nil {
			return
		}
		invite := string(v.CSeqMethod) == "INVITE"
		switch {
		case p.To == dialerAddr && v.Status >= 200 && invite:
			if line := fmt.Sprintf("%d from %s", v.Status, v.ToTag); !slices.Contains(finals, line) {
				finals = append(finals, line)
			}
		case p.From == gateAddr && v.IsMethod("INVITE"):
			who := flowCarriers[p.To]
			if slices.Contains(asked, who) {
				return
			}
			asked = append(asked, who)
			if closed != "" && wrong == "" {
				wrong = who + " was asked after " + closed
			}
		case p.From == dialerAddr && v.IsMethod("CANCEL"):
			closed = "CANCEL"
		case p.To == gateAddr && invite && (v.Status >= 600 || v.Status/100 == 2):
			closed = fmt.Sprint(v.Status)
		case p.To == gateAddr && invite && v.Status == 180 && flowCarriers[p.From] == asked[len(asked)-1]:
			closed = "ringing"
		}
	}
	s.watch.Store(&watch)
	s.do([]string{"dialer", "INVITE"}, "")
	synctest.Wait()
	ended := map[string]bool{}
	for _, line := range script {
		words := strings.Fields(line)
		if who := words[0]; who == "first" || who == "second" || who == "third" {
			mu.Lock()
			waits := slices.Contains(asked, who) && !ended[who]
			mu.Unlock()
			if !waits {
				continue // it was not asked, or has said what it had to
			}
			ended[who] = words[1] >= "200"
		}
		s.do(words, line)
		synctest.Wait()
	}
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	s.stopProbing()
	mu.Lock()
	defer mu.Unlock()
	servers, clients := s.proxy.layer.Count()
	switch {
	case wrong != "":
	case servers+clients+len(s.proxy.open) > 0:
		wrong = fmt.Sprintf("%d server and %d client transactions and %d calls are left", servers, clients, len(s.proxy.open))
	case len(s.outcomes) != 1 || s.judged != 1:
		wrong = fmt.Sprintf("%d outcomes of a call that was judged %d times", len(s.outcomes), s.judged)
	case len(finals) == 0:
		wrong = "the dialer has no final response"
	}
	refusals := 0
	for _, f := range finals {
		if f[0] != '2' {
			refusals++
		}
	}
	if refusals > 1 {
		wrong = fmt.Sprintf("the dialer got %v", finals)
	}
	for _, k := range s.proxy.config.Load().carriers {
		if k.inSetup != 0 {
			wrong = fmt.Sprintf("%d calls are still counted at %s", k.inSetup, k.ID)
		}
	}
	if wrong != "" {
		wrong += "\n" + s.ladder.String()
	}
	return wrong
}
