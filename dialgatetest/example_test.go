package dialgatetest_test

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dialgate/dialgatetest"
	"dialgate/trace"
)

const config = `
listen: {udp: [{address: "192.0.2.1:5060"}]}
peers: [{id: dialer, sources: [192.0.2.7], campaigns: ["*"]}]
carriers: [{id: carrier, targets: ["198.51.100.5:5060"]}]
advertisers: [{id: windkracht, name: Windkracht BV}]
campaigns:
  - {id: energy, advertiser: windkracht, purpose: commercial, products: [energy], callers: ["+31205550100"], objection_offered: true}
`

const consent = `{"id":"c1","kind":"consent","number":"+31612345678","advertiser":"windkracht","at":"2026-10-01T12:00:00+02:00","purposes":["commercial"],"products":["energy"],"method":"web-form","preticked":false,"bundled":false,"verified_at":"2026-10-01T12:05:00+02:00","verified_by":"sms","evidence":{"person":"p1","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`

func invite(callID, to string) []byte {
	return fmt.Appendf(nil, "INVITE sip:%s@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK-%s\r\nFrom: <sip:+31205550100@192.0.2.7>;tag=a\r\nTo: <sip:%s@192.0.2.1>\r\n"+
		"Call-ID: %s\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:192.0.2.7>\r\nContent-Length: 0\r\n\r\n", to, callID, to, callID)
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A single call is judged at a time of your choice.
func ExampleGate_Judge() {
	gate, err := dialgatetest.Parse("dialgate.yaml", config)
	if err != nil {
		log.Fatal(err)
	}
	if err := gate.ReadFacts(strings.NewReader(consent)); err != nil {
		log.Fatal(err)
	}
	gate.At(noon)
	fmt.Println(gate.Judge(invite("one", "+31612345678"), netip.MustParseAddrPort("192.0.2.7:5060")))
	fmt.Println(gate.Judge(invite("two", "+31612345679"), netip.MustParseAddrPort("192.0.2.7:5060")))
	// Output:
	// one +312******00 -> +316******78 allow consent
	// two +312******00 -> +316******79 deny no-consent
}

// A capture is judged call by call, at its own time.
func ExampleGate_Trace() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "monday.pcap")
	if err := record(path, invite("one", "+31612345678"), invite("two", "112")); err != nil {
		log.Fatal(err)
	}
	gate, err := dialgatetest.Parse("dialgate.yaml", config)
	if err != nil {
		log.Fatal(err)
	}
	for call, err := range gate.Trace(path) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(call.Packet, call.Decision.Verdict, call.Decision.Reason)
	}
	// Output:
	// 1 deny no-consent
	// 2 allow emergency
}

// record writes a capture of messages.
func record(path string, messages ...[]byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := trace.NewWriter(f)
	if err != nil {
		return err
	}
	for _, b := range messages {
		m := trace.Message{Time: noon, Source: netip.MustParseAddrPort("192.0.2.7:5060"), Destination: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: trace.UDP, Bytes: b}
		if err := w.Write(&m); err != nil {
			return err
		}
	}
	return nil
}
