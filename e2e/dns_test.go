//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/internal/testdns"
)

// TestCarrierByName gives the carrier by a name: NAPTR leads to SRV, and SRV to
// an address. When the time to live is over calls go where the name leads then,
// by another transport; when DNS is gone they stay there.
func TestCarrierByName(t *testing.T) {
	d := testdns.New(t)
	n := newNode(t)
	second := freePort(t)
	leads := func(ttl uint32, service, srv string, port int) {
		d.Set("sip.carrier.example.", ttl, testdns.NAPTR(10, 10, "s", "SIPS+D2T", "", "tls.carrier.example."), testdns.NAPTR(20, 10, "s", service, "", srv+"."))
		d.Set(srv+".", ttl, testdns.SRV(0, 0, uint16(port), "host.carrier.example."))
		d.Set("host.carrier.example.", ttl, testdns.A("127.0.0.1"))
	}
	leads(1, "SIP+D2U", "_sip._udp.elsewhere.example", n.carrier)
	d.Set("_sip._udp.sip.carrier.example.", 1, testdns.SRV(0, 0, 9, "host.carrier.example.")) // NAPTR goes first
	n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), "targets: [sip.carrier.example], transport: dns",
		"store:", fmt.Sprintf("sip: {dns: {servers: [%q], least: 1s}}\nstore:", d.Addr),
		fmt.Sprintf("listen: {udp: [{address: \"127.0.0.1:%d\"}]", n.sip), fmt.Sprintf("listen: {udp: [{address: \"127.0.0.1:%[1]d\"}], tcp: [{address: \"127.0.0.1:%[1]d\"}]", n.sip))
	injection := n.consents(20, func(int) string { return "windkracht" })
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	calls := func(what string, port int, args ...string) {
		t.Helper()
		const count = 20
		carrier := n.sipp("carrier", append(args, "-p", fmt.Sprint(port), "-m", fmt.Sprint(count))...)
		row := n.sipp("dialer", "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "50", fmt.Sprintf("127.0.0.1:%d", n.sip))()
		carrier()
		if answered := number(t, row, "GenericCounter2(C)"); answered != count {
			t.Errorf("%s: %d of %d calls were answered", what, answered, count)
		}
	}
	by := func(transport string) float64 {
		return n.metrics("dialgate_sip_messages_total", `method="INVITE"`, `direction="out"`, fmt.Sprintf("transport=%q", transport))
	}
	calls("at first", n.carrier)
	if udp, tcp := by("udp"), by("tcp"); udp != 20 || tcp != 0 {
		t.Errorf("%v calls went out over UDP, %v over TCP", udp, tcp)
	}

	leads(1, "SIP+D2T", "_sip._tcp.elsewhere.example", second)
	moved := time.Now()
	eventually(t, "the node has other addresses", 10*time.Second, func() error {
		if strings.Count(n.log.String(), "has other addresses") < 2 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	t.Logf("moved after %s with a time to live of 1s", time.Since(moved).Round(time.Millisecond))
	calls("when it has moved", second, "-t", "t1")
	if udp, tcp := by("udp"), by("tcp"); udp != 20 || tcp != 20 {
		t.Errorf("%v calls went out over UDP, %v over TCP", udp, tcp)
	}

	d.Stop()
	eventually(t, "the node notices that DNS is gone", 15*time.Second, func() error {
		if failed := n.metrics("dialgate_carrier_names_failed", `carrier="carrier"`); failed != 1 {
			return fmt.Errorf("%v names", failed)
		}
		return nil
	})
	calls("when DNS is gone", second, "-t", "t1")
	if kept := n.metrics("dialgate_dns_questions_total", `result="kept"`); kept == 0 {
		t.Error("no answer was kept")
	}
}
