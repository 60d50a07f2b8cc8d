package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dialgate/console/access"
	"dialgate/internal/testca"
	"dialgate/store"
)

// TestProofsForAnAdvertiser: only its own facts and calls, also by page, and
// each look on record.
func TestProofsForAnAdvertiser(t *testing.T) {
	c := startConsole(t)
	for _, who := range []string{"windkracht", "zonbank"} {
		c.as(access.Editor, "POST", "/v1/facts", fmt.Sprintf(`{"id":"fact-%s","kind":"consent","number":"+31612345678","advertiser":%q,"at":"2026-10-01T10:00:00+02:00","purposes":["commercial"],"products":["energy","savings"],"preticked":false,"bundled":false,"verified_at":"2026-10-01T10:05:00+02:00","verified_by":"sms","evidence":{"uri":"form:1","person":"p"}}`, who, who), 201)
	}
	c.judgeOne("+31205550100", "+31612345678", "own-call")
	c.judgeOne("+31205550101", "+31612345678", "others-call")
	key, err := c.store.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	v := c.visit(access.Advertiser)
	_, page := v.post("/proofs", url.Values{"number": {"0612345678"}, "format": {"html"}})
	for _, pack := range []string{c.as(access.Advertiser, "POST", "/v1/proofs", `{"number":"0612345678"}`, 200), page} {
		p, _, err := store.ReadPack([]byte(pack), key)
		if err != nil {
			t.Fatal(err, pack)
		}
		if p.Advertiser != "windkracht" || len(p.View.Consents) != 1 || len(p.View.Calls) != 1 || p.View.Calls[0].Decision.CallID != "own-call" {
			t.Errorf("%+v", p.View)
		}
		for _, r := range p.Records {
			pack += string(r.Leaf) + string(r.Payload)
		}
		for _, never := range []string{"zonbank", "others-call", "savings-bank", "+31205550101"} {
			if strings.Contains(pack, never) {
				t.Errorf("it holds %q", never)
			}
		}
	}
	if whole := c.as(access.Auditor, "POST", "/v1/proofs", `{"number":"0612345678"}`, 200); !strings.Contains(whole, "zonbank") {
		t.Error(whole)
	}
	if status, text := v.get("/proofs"); status != 200 || strings.Contains(text, "checkpoint") || strings.Contains(text, "Who looked") || !strings.Contains(text, "of your advertiser alone") {
		t.Error(status, text)
	}
	if looks, _, err := c.store.LookUps(0, 9); err != nil || len(looks) != 3 || looks[1].Role != "advertiser" || looks[2].What != "proof pack" {
		t.Errorf("%+v %v", looks, err)
	}
}

// sendInvite sends a call as a dialer does, and returns the first line of its
// final answer.
func (c *consoleTest) sendInvite(from, to string, headers ...string) string {
	c.t.Helper()
	line, _, _ := strings.Cut(c.sendWhole(from, to, headers...), "\r\n")
	return line
}

// sendWhole is sendInvite with the whole answer.
func (c *consoleTest) sendWhole(from, to string, headers ...string) string {
	c.t.Helper()
	conn, err := net.Dial("udp", c.sip[0].String())
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	id := fmt.Sprint("call-", time.Now().UnixNano())
	h := hypothetical{from: from, to: to, headers: headers, callID: id}
	invite := strings.Replace(string(h.invite()), "branch=z9hG4bK-hypothetical", "rport;branch=z9hG4bK-"+id, 1) // answered where it comes from
	if _, err := conn.Write([]byte(invite)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			c.t.Fatal(err)
		}
		if answer := string(buf[:n]); !strings.HasPrefix(answer, "SIP/2.0 1") {
			return answer
		}
	}
}

// firstCall waits until the first call is on record: a slow disk can be behind
// the answer.
func (c *consoleTest) firstCall() uint64 {
	c.t.Helper()
	for range 2000 {
		if page, err := c.store.Search(store.Search{Most: 1}); err == nil && len(page.Decisions) == 1 {
			return page.Decisions[0].Seq
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatal("the call does not come on record")
	return 0
}

// TestCarriersAndPeersTellTheirState, through the API and on the page.
func TestCarriersAndPeersTellTheirState(t *testing.T) {
	c := startConsole(t, `carriers: [{id: silent, targets: ["127.0.0.1:9"], priority: 1, probing: {every: 100ms, timeout: 50ms, down: 1}}, {id: plain, targets: ["127.0.0.1:9"]}, {id: named, targets: ["nowhere.invalid"]}]`)
	var carriers []struct {
		ID, State string
		Probed    bool
		Reach     []struct {
			Address, State, Why string
			Since               time.Time
		}
	}
	read := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(c.as(access.Viewer, "GET", "/v1/carriers", "", 200)), &carriers); err != nil || len(carriers) != 3 {
			t.Fatal(err, carriers)
		}
	}
	for range 500 {
		if read(); carriers[0].State == "down" {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	silent, plain, named := carriers[0], carriers[1], carriers[2]
	if silent.State != "down" || !silent.Probed || silent.Reach[0].Address != "127.0.0.1:9" || !strings.Contains(silent.Reach[0].Why, "OPTIONS") || time.Since(silent.Reach[0].Since) > time.Minute {
		t.Errorf("%+v", silent)
	}
	if plain.State != "up" || plain.Probed || named.State != "down" || len(named.Reach) != 0 {
		t.Errorf("%+v %+v", plain, named)
	}
	if got := c.as(access.Viewer, "GET", "/v1/peers", "", 200); strings.Contains(got, "last_call") {
		t.Error(got)
	}
	c.sendInvite("+31205550100", "+31612345678")
	if got := c.as(access.Viewer, "GET", "/v1/peers", "", 200); !strings.Contains(got, "last_call") || !strings.Contains(got, `"calls_in_setup":0`) {
		t.Error(got)
	}
	_, text := c.visit(access.Viewer).get("/")
	for _, want := range []string{`<span class="result deny">down</span>`, "no answer to OPTIONS", "It is not probed", "no address of its name is known", "last call"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

// TestAKeptInviteIsShownToWhoMaySeeNumbers, without credentials, and each look
// is recorded; without the key nothing is kept.
func TestAKeptInviteIsShownToWhoMaySeeNumbers(t *testing.T) {
	for _, most := range []string{"", `sip: {keep_invite: 16KiB}`, `sip: {keep_invite: 64}`} {
		var sections []string
		if most != "" {
			sections = []string{most}
		}
		c := startConsole(t, sections...)
		c.sendInvite("+31205550100", "+31612345678", `Proxy-Authorization: Digest username="u", response="5ec4e7"`, "X-Note: <script>alert(1)</script>")
		seq := c.firstCall()
		path := fmt.Sprintf("/v1/decisions/%d", seq)
		for _, role := range []access.Role{access.Viewer, access.Analyst, access.Advertiser} {
			if got := c.as(role, "GET", path, "", 200); strings.Contains(got, "INVITE sip") {
				t.Errorf("%s sees %s", role, got)
			}
		}
		var one struct{ Invite string }
		if err := json.Unmarshal([]byte(c.as(access.Analyst, "GET", path+"?full=true", "", 200)), &one); err != nil {
			t.Fatal(err)
		}
		switch {
		case most == "":
			if one.Invite != "" {
				t.Error(one.Invite)
			}
			continue
		case strings.Contains(most, "64"):
			if len(one.Invite) > 64 || !strings.HasPrefix(one.Invite, "INVITE sip:+31612345678") {
				t.Errorf("%q", one.Invite)
			}
			continue
		}
		if strings.Contains(one.Invite, "5ec4e7") || !strings.Contains(one.Invite, "Proxy-Authorization: (taken out)\n") || !strings.Contains(one.Invite, "X-Note: <script>") {
			t.Errorf("%q", one.Invite)
		}
		if got := c.as(access.Analyst, "GET", "/v1/decisions", "", 200) + c.as(access.Analyst, "POST", "/v1/numbers/query", `{"number":"0612345678"}`, 200); strings.Contains(got, "INVITE sip") {
			t.Error("a list holds messages")
		}
		v := c.visit(access.Analyst)
		if _, text := v.get(fmt.Sprintf("/calls/%d?full=true", seq)); !strings.Contains(text, "INVITE sip:&#43;31612345678") || strings.Contains(text, "<script>alert") {
			t.Error(text)
		}
		if _, text := v.get(fmt.Sprintf("/calls/%d", seq)); strings.Contains(text, "INVITE sip") {
			t.Error(text)
		}
		if looks, _, err := c.store.LookUps(0, 9); err != nil || len(looks) != 3 || looks[0].What != fmt.Sprint("decision ", seq) {
			t.Errorf("%+v %v", looks, err)
		}
	}
}

const passingCases = `cases:
  - name: nobody consented
    at: 2026-11-24T14:00:00+01:00
    call: {from: "+31205550100", to: "+31612345678"}
    expect: {verdict: deny, reason: no-consent}
`

// TestRulesShowTheirCasesAndWhatTheySpare: the acceptance cases with their
// result, the calls that a rule in shadow would have refused, the book on a date.
func TestRulesShowTheirCasesAndWhatTheySpare(t *testing.T) {
	c := startConsole(t, "rules: {nl.basis: shadow}")
	for i := range 3 {
		c.judgeOne("+31205550100", "+31612345678", fmt.Sprint("call-", i))
	}
	c.judgeOne("", "+31612345678", "refused all the same")
	v := c.visit(access.Viewer)
	_, text := v.get("/rules")
	if !strings.Contains(text, `/calls?reason=not-enforced&amp;rule=nl.basis`) || !strings.Contains(text, `<b class="num">3</b> <code>no-consent</code>`) || !strings.Contains(text, "The configuration names none") {
		t.Error(text)
	}
	if _, text = v.get("/calls?reason=not-enforced&rule=nl.basis"); strings.Count(text, `href="/calls/`) != 3 {
		t.Error(text)
	}
	if got := c.as(access.Viewer, "GET", "/v1/decisions?rule=nl.hours", "", 200); strings.Contains(got, "seq") {
		t.Error(got)
	}
	c.as(access.Advertiser, "GET", "/v1/decisions?rule=nl.basis", "", 200)
	before, after := "", ""
	if _, before = v.get("/rules?date=2026-06-30"); !strings.Contains(before, "not in force on this date") {
		t.Error(before)
	}
	if _, after = v.get("/rules?date=2026-07-01"); strings.ReplaceAll(before, "2026-06-30", "2026-07-01") == after {
		t.Error("the book of 1 July is that of 30 June")
	}
	// Cases that are added with a reload, and one that fails.
	dir := filepath.Dir(c.path)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	write("dialgate.yaml", strings.Replace(string(config), "rules: {nl.basis: shadow}", "cases: [cases.yaml]", 1))
	write("cases.yaml", passingCases)
	c.as(access.Admin, "POST", "/v1/reload", "", 200)
	if got := c.as(access.Viewer, "GET", "/v1/cases", "", 200); !strings.Contains(got, `"file":"cases.yaml","line":2,"name":"nobody consented"`) || !strings.Contains(got, `"got_reason":"no-consent","as_expected":true`) {
		t.Error(got)
	}
	if _, text = v.get("/rules"); !strings.Contains(text, "nobody consented") || !strings.Contains(text, "as expected") {
		t.Error(text)
	}
	write("cases.yaml", strings.Replace(passingCases, "no-consent", "objected", 1))
	c.as(access.Admin, "POST", "/v1/reload", "", 422)
	if _, text = v.get("/rules"); !strings.Contains(text, "The last reload was refused") || !strings.Contains(text, "want objected, got no-consent") {
		t.Error(text)
	}
}

// TestAClientCertificateIsASecondLock: with api.client_ca nobody without one
// gets an answer, a token or password is asked for as ever, and certificates and
// authorities that change on disk are in force without a restart, also for a
// client that resumes a session.
func TestAClientCertificateIsASecondLock(t *testing.T) {
	t.Parallel() // it waits
	ours, other, next := testca.New(t), testca.New(t), testca.New(t)
	cert, key := ours.Issue("console", "127.0.0.1")
	clients := filepath.Join(t.TempDir(), "clients.pem")
	copyFile := func(from, to string, at time.Time) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err == nil {
			err = os.Chtimes(to, at, at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyFile(ours.File, clients, time.Now().Add(-time.Hour))
	dir := t.TempDir()
	path := filepath.Join(dir, "dialgate.yaml")
	text := strings.Replace(fmt.Sprintf(consoleText, filepath.Join(dir, "data")), `"127.0.0.1:0"}`+"\nstore", fmt.Sprintf(`"127.0.0.1:0", certificate: %q, key: %q, client_ca: %q}`+"\nstore", cert, key, clients), 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := loadAccepted(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := startNode(w, nodeOptions{now: time.Now, log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	token, _, err := n.keys.Create(access.Token{Name: "crm", Role: access.Viewer}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for _, a := range []*testca.Authority{ours, next} {
		pem, err := os.ReadFile(a.File)
		if err != nil {
			t.Fatal(err)
		}
		roots.AppendCertsFromPEM(pem)
	}
	client := func(of *testca.Authority) *http.Client {
		config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
		if of != nil {
			pair, err := tls.LoadX509KeyPair(of.Issue("client", "crm.example"))
			if err != nil {
				t.Fatal(err)
			}
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil } // also where it is not asked for
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	}
	ask := func(c *http.Client, token string) (status int, served string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", n.url()+"/v1/decisions", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := c.Do(req)
		if err != nil {
			return 0, ""
		}
		defer res.Body.Close()
		return res.StatusCode, res.TLS.PeerCertificates[0].Issuer.CommonName + res.TLS.PeerCertificates[0].SerialNumber.String()
	}
	known := client(ours)
	before := ""
	for name, c := range map[string]struct {
		client *http.Client
		token  string
		want   int
	}{"no certificate": {client(nil), token, 0}, "of another authority": {client(other), token, 0}, "no token": {known, "", 401}, "both": {known, token, 200}} {
		status, served := ask(c.client, c.token)
		if status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
		if status == 200 {
			before = served
		}
	}
	if res, err := client(nil).Get(n.url() + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("somebody without a certificate is answered")
	}
	// Another certificate of the node's, and another authority for clients.
	ours.Issue("console", "127.0.0.1")
	copyFile(next.File, clients, time.Now())
	time.Sleep(5100 * time.Millisecond) // how often the files are looked at
	if status, served := ask(client(next), token); status != 200 || served == before {
		t.Errorf("%d, served by %s as before", status, served)
	}
	if status, _ := ask(known, token); status != 0 {
		t.Errorf("a client of the authority that was taken out is answered %d", status)
	}
}
