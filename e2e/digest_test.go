//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// proves gives the node's dialer a password, in a file.
func (n *node) proves(algorithms string) {
	n.t.Helper()
	secret := filepath.Join(n.dir, "password")
	if err := os.WriteFile(secret, []byte("a secret\n"), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.configure(`sources: [127.0.0.1], `, fmt.Sprintf(`sources: [127.0.0.1], digest: {user: alice, password: "${file:%s}", algorithms: [%s]}, `, secret, algorithms))
}

// TestDialerProvesItself lets SIPp answer our challenges: nothing that is not
// proved is judged or recorded, its credentials stay here, and nothing secret
// is in the log.
func TestDialerProvesItself(t *testing.T) {
	n := newNode(t)
	n.proves("md5") // SIPp knows no other
	n.consents(1, func(int) string { return "windkracht" })
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	const called = "+31610000000"
	dialer := func(count int, password string) map[string]string {
		return n.sipp("dialer-digest", "-p", fmt.Sprint(freePort(t)), "-s", called, "-au", "alice", "-ap", password,
			"-auth_uri", fmt.Sprintf("%s@127.0.0.1:%d", called, n.sip), "-m", fmt.Sprint(count), "-r", "50", fmt.Sprintf("127.0.0.1:%d", n.sip))()
	}
	count := scale(100)
	messages := filepath.Join(n.dir, "carrier.log")
	carrier := n.sipp("carrier", "-p", fmt.Sprint(n.carrier), "-m", fmt.Sprint(count), "-trace_msg", "-message_file", messages)
	d := dialer(count, "a secret")
	carrier()
	for column, want := range map[string]int{"SuccessfulCall(C)": count, "FailedCall(C)": 0, "GenericCounter1(C)": count, "GenericCounter2(C)": count, "GenericCounter4(C)": count} {
		if got := number(t, d, column); got != want {
			t.Errorf("right password: %s is %d, want %d", column, got, want)
		}
	}
	wrong := dialer(3, "another secret")
	if refused := number(t, wrong, "GenericCounter3(C)"); refused != 3 {
		t.Errorf("wrong password: %d of 3 calls were refused", refused)
	}
	for result, want := range map[string]int{"proved": 2 * count, "challenged": 2*count + 3, "wrong": 3, "stale": 0, "too-short": 0, "blocked": 0} {
		if got := n.metrics("dialgate_digest_total", fmt.Sprintf("result=%q", result)); got != float64(want) {
			t.Errorf("%v requests were %s, want %d", got, result, want)
		}
	}
	if got := len(n.decisions()); got != count {
		t.Errorf("%d decisions are recorded, want %d: of what was proved", got, count)
	}
	text, err := os.ReadFile(messages)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); strings.Contains(got, "Proxy-Authorization") || !strings.Contains(got, "INVITE sip:") {
		t.Error("the carrier's log has no INVITE, or one with the credentials for us")
	}
	if log := n.log.String(); strings.Contains(log, "secret") || !strings.Contains(log, "a peer has not proved who it is") {
		t.Error("the log tells a secret, or not that somebody did not prove who he is")
	}
}

// TestAgentsProveThemselves lets sipgo take the safer one of two challenges. The
// carrier has a challenge of its own, for another realm.
func TestAgentsProveThemselves(t *testing.T) {
	n := newNode(t)
	n.proves("sha-256, md5")
	n.consents(1, func(int) string { return "windkracht" })
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	carrier := n.sipp("carrier-407", "-p", fmt.Sprint(n.carrier), "-m", "1")
	ua, err := sipgo.NewUA(sipgo.WithUserAgentHostname("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer ua.Close()
	client, err := sipgo.NewClient(ua, sipgo.WithClientLogger(slog.New(slog.DiscardHandler)), sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientNAT())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	invite := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: "+31610000000", Host: "127.0.0.1", Port: n.sip})
	invite.AppendHeader(&sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "+31205550100", Host: "127.0.0.1"}, Params: sip.NewParams()})
	invite.From().Params.Add("tag", sip.GenerateTagN(10))
	invite.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	invite.SetBody([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\na=" + strings.Repeat("x", 200) + "\r\n"))
	res, err := client.Do(ctx, invite)
	if err != nil || res.StatusCode != 407 || len(res.GetHeaders("Proxy-Authenticate")) != 2 {
		t.Fatalf("%v, %v; %v in, %v too short", res, err, n.metrics("dialgate_sip_messages_total", `direction="in"`), n.metrics("dialgate_digest_total", `result="too-short"`))
	}
	if res, err = client.DoDigestAuth(ctx, invite, res, sipgo.DigestAuth{Username: "alice", Password: "a secret"}); err != nil {
		t.Fatal(err)
	}
	if asked := res.GetHeader("Proxy-Authenticate"); res.StatusCode != 407 || asked == nil || !strings.Contains(asked.Value(), "carrier.example") {
		t.Errorf("the carrier's own challenge did not come: %v", res)
	}
	carrier()
	if got := n.metrics("dialgate_digest_total", `result="proved"`); got != 1 {
		t.Errorf("%v requests were proved, want 1", got)
	}
	sent := invite.GetHeader("Proxy-Authorization").Value()
	if !strings.Contains(sent, "SHA-256") {
		t.Errorf("it proved itself by %s", sent)
	}
}

// TestPhonesProveThemselves lets baresip answer our challenges; it hangs up with
// credentials, too.
func TestPhonesProveThemselves(t *testing.T) {
	n := newNode(t)
	n.proves("md5") // at a challenge for another algorithm it gives up
	dialer := newPhone(t, "+31205550100", n.sip, `;auth_user=alice;auth_pass="a secret"`)
	carrier := newPhone(t, "+31610000000", n.sip)
	n.configure(fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, n.carrier), fmt.Sprintf(`targets: ["127.0.0.1:%d"]`, carrier.port))
	n.consents(1, func(int) string { return "windkracht" })
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	dialer.do("dial", "sip:+31610000000@127.0.0.1")
	dialer.sees("CALL_ESTABLISHED")
	carrier.sees("CALL_ESTABLISHED")
	dialer.do("hangup", "")
	carrier.sees("CALL_CLOSED")
	if got := n.metrics("dialgate_digest_total", `result="proved"`); got < 2 {
		t.Errorf("%v requests were proved, want an INVITE and a BYE", got)
	}
}
