package sipproxy

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dialgate/internal/simnet"
	"dialgate/sipproxy/message"
	"dialgate/sipproxy/transport"
)

// TestMessagesOfOthersDoNoHarm sends RFC 4475's messages and the seeds of
// other programs' fuzzers through a running proxy that refuses every call: it
// answers a probe after each, nothing reaches the carrier, and what is sent
// back is SIP.
func TestMessagesOfOthersDoNoHarm(t *testing.T) {
	var files []string
	for _, pattern := range []string{"rfc4475/*.dat", "fuzz/*/*", "fuzz/*/*/*"} {
		names, _ := filepath.Glob(filepath.Join("..", "..", "shared", "testdata", pattern))
		files = append(files, names...)
	}
	if len(files) == 0 {
		t.Skip("the messages of others are not beside the repository")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.verdict = "no-consent"
		answered := 0                                                         // probes
		s.net.Drop = func(p simnet.Packet) bool { return p.From == gateAddr } // the tap sees it all
		s.net.Tap = func(p simnet.Packet) {
			var v message.View
			err := v.Parse(p.Payload)
			switch {
			case p.From != gateAddr:
			case bytes.HasPrefix(p.Payload, []byte("SIP/2.0 400 ")), bytes.HasPrefix(p.Payload, []byte("SIP/2.0 505 ")): // it holds what of the request could be read
			case err != nil:
				t.Errorf("the proxy sent what can't be read: %v\n%s", err, p.Payload)
			case p.To == carrierAddr && v.IsRequest():
				t.Errorf("a refused call reached the carrier:\n%s", p.Payload)
			case p.To == dialerAddr && v.Status == 200 && string(v.CSeqMethod) == "OPTIONS":
				answered++
			}
		}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil || len(raw) > transport.MaxDatagram {
				continue // a folder
			}
			for _, from := range []*agent{s.dialer, s.other, s.carrier} {
				from.send(raw)
				synctest.Wait()
			}
			before := answered
			s.dialer.act([]string{"OPTIONS"})
			synctest.Wait()
			if answered == before {
				t.Fatalf("after %s the proxy answers no OPTIONS any more", filepath.Base(name))
			}
		}
		var faults dto.Metric
		if err := s.proxy.metrics.panics.Write(&faults); err != nil || faults.GetCounter().GetValue() != 0 {
			t.Errorf("%v faults, %v", faults.GetCounter().GetValue(), err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if servers, clients := s.proxy.layer.Count(); servers+clients > 0 {
			t.Errorf("%d server and %d client transactions are left after five minutes", servers, clients)
		}
	})
}
