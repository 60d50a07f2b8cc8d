//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"dialgate/internal/testca"
)

// A kamailio is a record-routing Kamailio that sends every new request on to
// one place. It listens on one port by UDP and TCP, and by TLS and WSS where it
// has a certificate; WS comes in on TCP.
type kamailio struct {
	port, secure int
	next         string // Request-URI without its user: where new requests go
	further      string // a second one: new requests are forked to both
	ca           *testca.Authority
	name         string // what its certificate says
	demand       bool   // who shows no certificate is not let in
	probe        string // a destination that it asks by OPTIONS, and sends nothing to while it is silent
}

const kamailioConfig = `#!KAMAILIO
log_stderror=yes
debug=1
children=2
tcp_children=2
tcp_accept_no_cl=yes
auto_aliases=no
mpath="%s"
%s
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
loadmodule "nathelper.so"
loadmodule "corex.so"
loadmodule "dispatcher.so"
modparam("rr", "append_fromtag", 1)
modparam("tm", "fr_timer", 5000)
modparam("tm", "fr_inv_timer", 20000)
modparam("dispatcher", "list_file", "%s")
modparam("dispatcher", "ds_ping_interval", 1)
modparam("dispatcher", "ds_probing_mode", 1)
modparam("dispatcher", "ds_ping_reply_codes", "class=2")
request_route {
	if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
	if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
	if (has_totag()) {
		if (loose_route()) { t_relay(); exit; }
		if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
		sl_send_reply("404", "Not Here");
		exit;
	}
	if (is_method("OPTIONS")) { sl_send_reply("200", "Keepalive"); exit; }
	t_check_trans();
	record_route();
	%s
	t_relay();
}
event_route[xhttp:request] {
	if ($hdr(Upgrade) =~ "websocket" && $hdr(Connection) =~ "Upgrade" && $rm == "GET") { ws_handle_handshake(); exit; }
	xhttp_reply("404", "Not Found", "", "");
}
`

// start runs Kamailio until the test ends.
func (k *kamailio) start(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	k.port, k.secure = freePort(t), freePort(t)
	head := fmt.Sprintf("listen=udp:127.0.0.1:%[1]d\nlisten=tcp:127.0.0.1:%[1]d\n", k.port)
	if k.ca != nil {
		certificate, key := k.ca.Issue(k.name, k.name, "127.0.0.1")
		demand := map[bool]string{true: "yes", false: "no"}[k.demand]
		file := filepath.Join(dir, "tls.cfg")
		if err := os.WriteFile(file, fmt.Appendf(nil, "[server:default]\nmethod = TLSv1.2+\ncertificate = %[1]s\nprivate_key = %[2]s\nca_list = %[3]s\nverify_certificate = %[4]s\nrequire_certificate = %[4]s\n"+
			"[client:default]\nmethod = TLSv1.2+\ncertificate = %[1]s\nprivate_key = %[2]s\nca_list = %[3]s\nverify_certificate = yes\nrequire_certificate = yes\n",
			certificate, key, k.ca.File, demand), 0o600); err != nil {
			t.Fatal(err)
		}
		head += fmt.Sprintf("enable_tls=yes\nlisten=tls:127.0.0.1:%d\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", %q)\n", k.secure, file)
	}
	list := filepath.Join(dir, "dispatcher.list")
	entry := ""
	next := fmt.Sprintf("$ru = \"sip:\" + $rU + \"@%s\";", k.next)
	if k.further != "" {
		next += fmt.Sprintf("\n\tappend_branch(\"sip:further@%s\");", k.further)
	}
	if k.probe != "" {
		entry = "1 sip:" + k.probe + " 0 0\n"
		next += "\n\tif (!ds_select_dst(\"1\", \"4\")) { sl_send_reply(\"500\", \"It does not answer OPTIONS\"); exit; }"
	}
	config := filepath.Join(dir, "kamailio.cfg")
	for path, text := range map[string]string{list: entry, config: fmt.Sprintf(kamailioConfig, kamailioModules(t), head, list, next)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	// Its own runtime directory; -DD keeps the processes of one group together.
	cmd := exec.CommandContext(ctx, need(t, "kamailio"), "-f", config, "-DD", "-m", "32", "-M", "4", "-Y", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		timer := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		_ = cmd.Wait()
		timer.Stop()
		cancel()
		if t.Failed() {
			t.Logf("Kamailio's log:\n%s", tail(&log))
		}
	})
	eventually(t, "Kamailio listens", 20*time.Second, func() error {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", k.port))
		if err != nil {
			return errors.Join(err, errors.New(tail(&log)))
		}
		return c.Close()
	})
}

// kamailioModules finds where Debian has put the modules.
func kamailioModules(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/kamailio/modules/websocket.so")
	if err != nil || len(found) == 0 {
		t.Fatal("Kamailio's modules are missing; install kamailio, kamailio-tls-modules, kamailio-websocket-modules")
	}
	return filepath.Dir(found[0])
}

// TestCallsThroughKamailio has a record-routing Kamailio on each side of the
// node, and SIPp behind each: transports change up to three times on the way,
// so there are up to six Record-Routes, and requests in the dialog must find
// back through all.
func TestCallsThroughKamailio(t *testing.T) {
	const count = 20 // half of them allowed
	for _, way := range []struct {
		from, to string
		mutual   bool
		bye      string // the side that hangs up
	}{
		{"udp", "udp", false, "dialer"}, {"udp", "udp", false, "carrier"}, {"tcp", "tls", false, "carrier"}, {"tls", "udp", false, "dialer"},
		{"tls", "tls", true, "dialer"}, {"tls", "tls", true, "carrier"}, {"udp", "ws", false, "dialer"}, {"tls", "wss", true, "dialer"},
	} {
		name := fmt.Sprintf("%s to %s, the %s hangs up", way.from, way.to, way.bye)
		if way.mutual {
			name += ", both show certificates"
		}
		t.Run(name, func(t *testing.T) {
			ca := testca.New(t)
			n := newNode(t)
			answerer := freePort(t)
			ports := map[string]int{"udp": n.sip, "tcp": n.sip, "tls": freePort(t), "ws": freePort(t), "wss": freePort(t)}
			behind := &kamailio{next: fmt.Sprintf("127.0.0.1:%d", answerer), ca: ca, name: "carrier.example", demand: way.mutual}
			behind.start(t)
			cert, key := ca.Issue("gate", "127.0.0.1", "gate.example")
			files := fmt.Sprintf("certificate: %q, key: %q", cert, key)
			mutual := ""
			if way.mutual {
				mutual = fmt.Sprintf(", client_ca: %q, require_client: true", ca.File)
				n.configure("sources: [127.0.0.1]", "tls_names: [dialer.example]")
			}
			target := behind.port
			secure := ""
			if way.to == "tls" || way.to == "wss" {
				target = behind.secure
				secure = fmt.Sprintf("tls: {ca: %q, name: carrier.example, %s}, ", ca.File, files)
			}
			n.configure("listen: {udp: ", fmt.Sprintf(`listen: {tcp: [{address: "127.0.0.1:%d"}], tls: [{address: "127.0.0.1:%d", %s%s}], ws: [{address: "127.0.0.1:%d"}], wss: [{address: "127.0.0.1:%d", %s}], udp: `,
				ports["tcp"], ports["tls"], files, mutual, ports["ws"], ports["wss"], files),
				`carriers: [{id: carrier,`, fmt.Sprintf(`carriers: [{id: carrier, probing: {every: 1s, timeout: 1s}, transport: %s, %s`, way.to, secure),
				fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, target))
			injection := n.numbers(count)
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			// It is started when the node listens: an OPTIONS that meets nobody ends
			// five seconds later, and then takes the node out although it has
			// answered others since.
			before := &kamailio{next: fmt.Sprintf("127.0.0.1:%d;transport=%s", ports[way.from], way.from), ca: ca, name: "dialer.example"}
			before.probe = before.next
			before.start(t)

			eventually(t, "Kamailio's OPTIONS are answered, and ours", 10*time.Second, func() error {
				in := n.metrics("dialgate_sip_messages_total", `method="OPTIONS"`, `direction="in"`, `transport="`+way.from+`"`)
				out := n.metrics("dialgate_sip_messages_total", `method="OPTIONS"`, `direction="out"`, `transport="`+way.to+`"`)
				if in < 2 || out < 1 { // after the answer to the first comes another
					return fmt.Errorf("%v in, %v out", in, out)
				}
				return nil
			})
			suffix := map[string]string{"dialer": "", "carrier": "-bye"}[way.bye]
			// Kamailio's workers overtake each other, so a BYE right behind its ACK may
			// come first, which SIPp takes for the end of one call and the begin of another.
			answering := n.sipp("carrier"+suffix, "-p", fmt.Sprint(answerer), "-m", fmt.Sprint(count/2), "-d", "300")
			time.Sleep(300 * time.Millisecond) // SIPp does not say when it listens
			dialling := n.sipp("dialer"+suffix, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "20", "-d", "300", fmt.Sprintf("127.0.0.1:%d", before.port))
			d, c := dialling(), answering()
			for what, side := range map[string]struct {
				row  map[string]string
				want int
			}{"dialer": {d, count}, "carrier": {c, count / 2}} {
				if s, f := number(t, side.row, "SuccessfulCall(C)"), number(t, side.row, "FailedCall(C)"); s != side.want || f != 0 {
					t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, side.want, f)
				}
			}
			if refused, answered := number(t, d, "GenericCounter1(C)"), number(t, d, "GenericCounter2(C)"); refused != count/2 || answered != count/2 {
				t.Errorf("%d refused and %d answered, want half of %d each", refused, answered, count)
			}
			for _, w := range []struct {
				direction, transport string
				want                 float64
			}{{"in", way.from, count}, {"out", way.to, count / 2}} {
				if got := n.metrics("dialgate_sip_messages_total", `method="INVITE"`, `direction="`+w.direction+`"`, `transport="`+w.transport+`"`); got != w.want {
					t.Errorf("%v INVITEs %s over %s, want %v", got, w.direction, w.transport, w.want)
				}
			}
			if got := n.metrics("dialgate_carrier_up"); got != 1 {
				t.Errorf("dialgate_carrier_up is %v", got)
			}
			if got := n.metrics("dialgate_panics_total") + n.metrics("dialgate_sip_send_errors_total"); got != 0 {
				t.Errorf("%v panics and messages that could not be sent", got)
			}
		})
	}
}

// TestOddCallsThroughKamailio has a Kamailio on each side: calls that the dialer
// gives up while they ring, and calls of which the carrier demands a password.
func TestOddCallsThroughKamailio(t *testing.T) {
	const count = 10
	for _, kind := range []struct{ name, method, code string }{{"cancel", "CANCEL", "487"}, {"407", "ACK", "407"}} {
		t.Run(kind.name, func(t *testing.T) {
			n := newNode(t)
			answerer := freePort(t)
			behind := &kamailio{next: fmt.Sprintf("127.0.0.1:%d", answerer)}
			behind.start(t)
			before := &kamailio{next: fmt.Sprintf("127.0.0.1:%d", n.sip)}
			before.start(t)
			n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, behind.port))
			injection := n.consents(count, func(int) string { return "windkracht" })
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			answering := n.sipp("carrier-"+kind.name, "-p", fmt.Sprint(answerer), "-m", fmt.Sprint(count))
			time.Sleep(300 * time.Millisecond) // SIPp does not say when it listens
			dialling := n.sipp("dialer-"+kind.name, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "10", fmt.Sprintf("127.0.0.1:%d", before.port))
			d, c := dialling(), answering()
			for what, row := range map[string]map[string]string{"dialer": d, "carrier": c} {
				if s, f := number(t, row, "SuccessfulCall(C)"), number(t, row, "FailedCall(C)"); s != count || f != 0 {
					t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, count, f)
				}
			}
			if got := n.metrics("dialgate_sip_messages_total", `method="`+kind.method+`"`, `direction="in"`); got != count {
				t.Errorf("%v %ss came, want %d", got, kind.method, count)
			}
			if got := n.metrics("dialgate_responses_received_total", `code="`+kind.code+`"`); got != count {
				t.Errorf("the carrier answered %v with %s, want %d", got, kind.code, count)
			}
		})
	}
}

// TestForkingCarrier has a Kamailio behind the node that forks each call to two
// carriers. Where one only rings, both may be heard ringing, the call is up with
// the one that answers, and Kamailio cancels the other by itself. Where both
// answer, both answers reach the dialer, which hangs one up.
func TestForkingCarrier(t *testing.T) {
	const count = 10
	for _, x := range []struct {
		further, dialer string
		answers         float64 // a call
	}{{"carrier-cancel", "dialer", 1}, {"carrier-slow", "dialer-two", 2}} {
		t.Run(x.further, func(t *testing.T) {
			n := newNode(t)
			answerer, further := freePort(t), freePort(t)
			behind := &kamailio{next: fmt.Sprintf("127.0.0.1:%d", answerer), further: fmt.Sprintf("127.0.0.1:%d", further)}
			behind.start(t)
			n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, behind.port))
			injection := n.consents(count, func(int) string { return "windkracht" })
			n.start()
			n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
			sides := map[string]func() map[string]string{
				"first carrier":  n.sipp("carrier", "-p", fmt.Sprint(answerer), "-m", fmt.Sprint(count)),
				"second carrier": n.sipp(x.further, "-p", fmt.Sprint(further), "-m", fmt.Sprint(count)),
			}
			time.Sleep(300 * time.Millisecond) // SIPp does not say when it listens
			sides["dialer"] = n.sipp(x.dialer, "-p", fmt.Sprint(freePort(t)), "-inf", injection, "-m", fmt.Sprint(count), "-r", "10", fmt.Sprintf("127.0.0.1:%d", n.sip))
			for _, what := range []string{"dialer", "first carrier", "second carrier"} {
				row := sides[what]()
				if s, f := number(t, row, "SuccessfulCall(C)"), number(t, row, "FailedCall(C)"); s != count || f != 0 {
					t.Errorf("%s: %d of %d calls succeeded, %d failed", what, s, count, f)
				}
			}
			if got := n.metrics("dialgate_responses_received_total", `code="180"`); got < count {
				t.Errorf("%v times rang, of %d calls", got, count)
			}
			if got := n.metrics("dialgate_responses_received_total", `code="487"`); got != 0 {
				t.Errorf("%v times came 487, which Kamailio keeps", got)
			}
			for _, method := range []string{"ACK", "BYE"} {
				if got := n.metrics("dialgate_sip_messages_total", `method="`+method+`"`, `direction="out"`); got != x.answers*count {
					t.Errorf("%v %ss have left, want %v", got, method, x.answers*count)
				}
			}
		})
	}
}
