package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dialgate/console/access"
)

// A logged text is what a node logs, which is read while it runs.
type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// startLogged is a console that logs everything.
func startLogged(t *testing.T) (*consoleTest, *logged) {
	l := &logged{}
	return startConsoleLogging(t, slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))), l
}

// hostileNames are display names that somebody hopes are believed somewhere.
var hostileNames = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'-alert(1)-'`, `</title><svg onload=alert(1)>`, `{{.Who}}`, `${jndi:ldap://x}`, `javascript:alert(1)`,
	`=cmd|' /C calc'!A0`, `+cmd|' /C calc'!A0`, `-cmd|' /C calc'!A0`, `@SUM(1+1)*cmd|' /C calc'!A0`, "\t=cmd()",
	"\x1b[31mred\x1b]0;title\x07", "\x1b[2J", "a\r\n level=ERROR msg=forged", "a\r\nX-Forged: alert(1)", "a\x00b", "\u202egnp.exe", "\xff\xfe", strings.Repeat("A", 10_000), "%s%n%x", "../../etc/passwd",
}

// invites makes INVITEs with a hostile text wherever a dialer can write one.
func invites(i int, nasty, via string) (all []string) {
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(nasty)
	for k, change := range []func(h map[string]string){
		func(h map[string]string) { h["From"] = `"` + quoted + `" <sip:+31205550100@127.0.0.1>;tag=1` },
		func(h map[string]string) {
			h["From"] = `"` + quoted + `" <sip:` + url.PathEscape(nasty) + `@127.0.0.1>;tag=1`
		},
		func(h map[string]string) { h["To"] = `"` + quoted + `" <sip:+31612345678@127.0.0.1>` },
		func(h map[string]string) { h["P-Asserted-Identity"] = `"` + quoted + `" <sip:+31205550100@127.0.0.1>` },
		func(h map[string]string) {
			h["Remote-Party-ID"] = `"` + quoted + `" <sip:+31205550100@127.0.0.1>;privacy=off`
		},
		func(h map[string]string) { h["User-Agent"], h["Subject"], h["X-Campaign"] = nasty, nasty, nasty },
		func(h map[string]string) { h["Call-ID"] = nasty },
		func(h map[string]string) { h["Privacy"], h["Reason"], h["Identity"] = nasty, nasty, nasty },
	} {
		h := map[string]string{"From": "<sip:+31205550100@127.0.0.1>;tag=1", "To": "<sip:+31612345678@127.0.0.1>", "Call-ID": fmt.Sprintf("hostile-%d-%d", i, k)}
		change(h)
		text := "INVITE sip:+31612345678@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP " + via + fmt.Sprintf(";branch=z9hG4bK-%d-%d;rport\r\nMax-Forwards: 70\r\nCSeq: 1 INVITE\r\nContact: <sip:dialer@", i, k) + via + ">\r\n"
		for name, value := range h {
			text += name + ": " + value + "\r\n"
		}
		all = append(all, text+"Content-Length: 0\r\n\r\n")
	}
	return all
}

// TestHostileInvitesOverTheWire: whatever a dialer writes into a real INVITE,
// nobody believes it: no page, no answer of the API, no export, no log.
func TestHostileInvitesOverTheWire(t *testing.T) {
	t.Parallel()
	c, log := startLogged(t)
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(c.sip[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent, answered := 0, 0
	buf := make([]byte, 65535)
	for i, nasty := range hostileNames {
		for _, text := range invites(i, nasty, conn.LocalAddr().String()) {
			if _, err := conn.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			sent++
			// What can't be read at all is dropped; all else is refused at once.
			_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			for {
				n, err := conn.Read(buf)
				if err != nil {
					break
				}
				if bytes.HasPrefix(buf[:n], []byte("SIP/2.0 1")) {
					continue
				}
				if bytes.HasPrefix(buf[:n], []byte("SIP/2.0 2")) {
					t.Fatalf("%q was let through", nasty)
				}
				answered++
				break
			}
		}
	}
	records := c.store.LedgerEnd()
	t.Logf("%d INVITEs, %d answered, %d records", sent, answered, records)
	if records < uint64(len(hostileNames)) {
		t.Fatalf("only %d records", records)
	}

	v := c.visit(access.Admin)
	paths := []string{"/", "/now", "/calls", "/calls?verdict=deny", "/proofs", "/settings", "/rules"}
	for seq := uint64(1); seq <= records; seq++ {
		paths = append(paths, fmt.Sprint("/calls/", seq), fmt.Sprint("/calls/", seq, "?full=true"))
	}
	_, number := v.post("/numbers", url.Values{"number": {"+31612345678"}})
	unbelieved(t, "the page of the number", number)
	for _, path := range paths {
		status, text := v.get(path)
		if status >= 500 {
			t.Errorf("%s: %d", path, status)
		}
		unbelieved(t, path, text)
	}
	for _, path := range []string{"/v1/decisions?limit=200", "/v1/lookups", "/v1/state"} {
		text := c.as(access.Admin, "GET", path, "", 200)
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON", path)
		}
		unbelieved(t, path, text)
	}
	unbelieved(t, "the number by the API", c.as(access.Admin, "POST", "/v1/numbers/query", `{"number":"+31612345678"}`, 200))
	for _, format := range []string{"html", "json"} { // it holds the records as they are, as JSON that no browser shows
		unmoved(t, "the proof pack as "+format, c.as(access.Admin, "POST", "/v1/proofs", `{"number":"+31612345678","format":"`+format+`"}`, 200), "<script>alert", "<img", "<svg onload")
	}
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"audit list": {"audit", "list", "-c", c.path}, "audit list --json": {"audit", "list", "-c", c.path, "--json"},
		"report": {"report", "-c", c.path}, "report --html": {"report", "-c", c.path, "--html", filepath.Join(dir, "report.html")},
	} {
		var out, errs bytes.Buffer
		if status := run(args, streams{in: strings.NewReader(""), out: &out, err: &errs}); status != exitOK {
			t.Errorf("%s: %d %s", name, status, errs.String())
		}
		unmoved(t, name, out.String())
	}
	if text, err := os.ReadFile(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	} else {
		unbelieved(t, "the report", string(text))
	}
	unlogged(t, log.String(), "alert(1)", "cmd|", "forged", "12345678", "20555010", "AAAAAAAA")
}

// unbelieved fails when a text that people look at does what a hostile name hopes for.
func unbelieved(t *testing.T, where, text string) {
	t.Helper()
	unmoved(t, where, text, "<script>alert", "<img", "<svg onload", "\u202e")
	if n := strings.Count(text, strings.Repeat("A", 1000)); n > 0 {
		t.Errorf("%s shows a name of ten thousand characters", where)
	}
}

// unmoved fails when a text moves a cursor, begins a line that is not its own,
// or holds something more.
func unmoved(t *testing.T, where, text string, more ...string) {
	t.Helper()
	for _, bad := range append(more, "\x1b", "\x07", "\x00", "\nX-Forged", "\n level=ERROR") {
		if at := strings.Index(text, bad); at >= 0 {
			t.Errorf("%s holds %q: %q", where, bad, text[max(0, at-100):min(len(text), at+100)])
		}
	}
}

// unlogged fails when a log holds one of some texts, or a line that is not the
// log's own.
func unlogged(t *testing.T, log string, secrets ...string) {
	t.Helper()
	for sc := bufio.NewScanner(strings.NewReader(log)); sc.Scan(); {
		if line := sc.Text(); !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\x00\r") {
			t.Errorf("a line of the log is %q", line)
		}
	}
	for _, secret := range secrets {
		if at := strings.Index(log, secret); at >= 0 {
			t.Errorf("the log holds %q: %s", secret, log[max(0, at-200):min(len(log), at+100)])
		}
	}
}

// TestNoCellIsAFormula: what somebody else wrote into a list is no formula in
// the table of its rejected rows.
func TestNoCellIsAFormula(t *testing.T) {
	c := startConsole(t)
	const list = "number,at,via,source\n12,2026-11-01,x,y\n=cmd(),2026-11-01,x,y\n+12,2026-11-01,x,y\n-12,2026-11-01,x,y\n@SUM(1),2026-11-01,x,y\n\"\t=1\",2026-11-01,x,y\n"
	text := c.imported("text/csv", strings.NewReader(list))
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 6 {
		t.Fatalf("%v %q", err, text)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
				t.Errorf("a cell begins as a formula: %q", cell)
			}
		}
	}
}

// imported imports a file of objections through the API and returns its
// rejected rows, or why it failed.
func (c *consoleTest) imported(kind string, body io.Reader) string {
	c.t.Helper()
	res := c.open(c.tokens[access.Editor], "POST", "/v1/imports?const.kind=objection&const.advertiser=*", kind, body)
	defer res.Body.Close()
	var job struct{ ID, State, Error string }
	if err := json.NewDecoder(res.Body).Decode(&job); err != nil || res.StatusCode != http.StatusAccepted {
		c.t.Fatalf("%d %v", res.StatusCode, err)
	}
	for range 2000 {
		text := c.as(access.Editor, "GET", "/v1/imports/"+job.ID, "", 200)
		if err := json.Unmarshal([]byte(text), &job); err != nil {
			c.t.Fatal(err)
		}
		if job.State == "failed" {
			return job.Error
		}
		if job.State == "done" {
			return c.as(access.Editor, "GET", "/v1/imports/"+job.ID+"/rejects", "", 200)
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatal("the import does not end")
	return ""
}

// bomb is a workbook whose parts unpack to a size each, of nothing but blanks.
func bomb(t *testing.T, parts map[string]int64) []byte {
	t.Helper()
	const unit = 1 << 20
	blanks := bytes.Repeat([]byte(" "), unit)
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(blanks); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil { // a whole block, which can be said again and again
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, size := range parts {
		if size < unit {
			p, err := z.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(blanks[:size]); err != nil {
				t.Fatal(err)
			}
			continue
		}
		n := size / unit
		p, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: 1, UncompressedSize64: uint64(n * unit), CompressedSize64: uint64(n)*uint64(packed.Len()) + 5})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if _, err := p.Write(packed.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Write([]byte{1, 0, 0, 0xff, 0xff}); err != nil { // the last block, empty
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUploadsAreBounded: no upload fills memory or disk, nor leads out of the
// directory of uploads, whatever it is called and says of itself.
func TestUploadsAreBounded(t *testing.T) {
	c := startConsole(t)
	for path, most := range map[string]int64{"/v1/imports": 512 << 20, "/v1/scrub?campaign=energy": 256 << 20} {
		req, err := http.NewRequest("POST", c.url()+path, io.LimitReader(zeros{}, 1<<10))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = most + 1
		req.Header.Set("Authorization", "Bearer "+c.tokens[access.Admin])
		req.Header.Set("Expect", "100-continue") // it would be sent only when it is asked for
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s of %d octets: %d", path, req.ContentLength, res.StatusCode)
		}
	}
	const sheet, other = "xl/worksheets/sheet1.xml", "xl/media/a.bin"
	for name, parts := range map[string]map[string]int64{
		"one large sheet":        {sheet: 3 << 30},
		"much beside the sheets": {sheet: 100, other: 100 << 20},
		"a damaged large sheet":  {sheet: 40 << 20},
	} {
		data := bomb(t, parts)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		got := c.imported("application/octet-stream", bytes.NewReader(data))
		runtime.ReadMemStats(&after)
		if !strings.Contains(got, "workbook can't be read") {
			t.Errorf("%s: %q", name, got)
		}
		if grew := after.TotalAlloc - before.TotalAlloc; grew > 128<<20 {
			t.Errorf("%s: %d octets were taken", name, grew)
		}
		t.Logf("%s: %d octets, refused in %s: %s", name, len(data), time.Since(began).Round(time.Millisecond), got)
	}
	nested := bomb(t, map[string]int64{"a.zip": 500})
	if got := c.imported("application/zip", bytes.NewReader(nested)); !strings.Contains(got, "can't be read") {
		t.Errorf("a zip that is no workbook: %q", got)
	}
	for _, name := range []string{"../../../../tmp/x", `..\..\x`, "/etc/passwd", "%2e%2e%2fx", "a%00b", strings.Repeat("x", 5000)} {
		status, text := c.ask(c.tokens[access.Editor], "POST", "/v1/imports?const.kind=objection&const.advertiser=*&dry_run=true&name="+url.QueryEscape(name), "text/csv", "number\n0612345601\n")
		if status != http.StatusAccepted || strings.Contains(text, "..") {
			t.Errorf("%q: %d %s", name, status, text)
		}
		for range 4000 {
			if !strings.Contains(c.as(access.Editor, "GET", "/v1/imports", "", 200), `"waiting"`) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	v := c.visit(access.Admin)
	for _, path := range []string{"/assets/..%2f..%2fserver.go", "/assets/%2e%2e%2fpages.go", "/assets/..%5c..%5cserver.go", "/assets/", "/assets/templates%2fcall.html", "/imports/..%2f..%2faccess.json/rejects", "/imports/%2e%2e/rejects", "/numbers/..%2f..%2fx", "/calls/..%2fx"} {
		if status, text := v.get(path); status != http.StatusNotFound && status != http.StatusForbidden || strings.Contains(text, "package console") || strings.Contains(text, "argon2id") {
			t.Errorf("%s: %d", path, status)
		}
	}
	outside := 0
	err := filepath.WalkDir(filepath.Dir(c.path), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && (strings.Contains(e.Name(), "passwd") || strings.Contains(e.Name(), "xxxx")) {
			outside++
		}
		return err
	})
	if err != nil || outside > 0 {
		t.Errorf("%d files are called as an upload was: %v", outside, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestManyLogInsAtOnce get no further than one after the other.
func TestManyLogInsAtOnce(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	c.visit(access.Viewer)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for range 40 {
		wg.Go(func() {
			res, err := http.PostForm(c.url()+"/login", url.Values{"name": {"person viewer"}, "password": {"wrong wrong wrong"}})
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			got[res.StatusCode]++
		})
	}
	wg.Wait()
	if got[http.StatusUnauthorized] > 6 || got[http.StatusUnauthorized]+got[http.StatusTooManyRequests] != 40 {
		t.Errorf("%v", got)
	}
}

// TestSessionsEndToEnd: a session is what the server made, does what its person
// may now, and ends with it.
func TestSessionsEndToEnd(t *testing.T) {
	t.Parallel()
	c := startConsole(t)
	v := c.stranger()
	u, err := url.Parse(c.url())
	if err != nil {
		t.Fatal(err)
	}
	v.client.Jar.SetCookies(u, []*http.Cookie{{Name: "dialgate", Value: "chosen-by-somebody-else"}})
	set := func(role access.Role, password string) {
		t.Helper()
		if err := c.keys.SetPerson(access.Person{Name: "an", Role: role}, password, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	c.visit(access.Admin) // somebody stays, or the set-up would be open again
	set(access.Editor, testPassword)
	logIn := func(v *visitor, password string) {
		t.Helper()
		if status, text := v.post("/login", url.Values{"name": {"an"}, "password": {password}}); status != 200 || !strings.Contains(text, "an <small>") {
			t.Fatal(status, text)
		}
	}
	logIn(v, testPassword)
	own := v.client.Jar.Cookies(u)[0].Value
	if own == "chosen-by-somebody-else" || len(own) < 40 {
		t.Errorf("the session is %q", own)
	}
	if status, _ := v.get("/imports"); status != 200 {
		t.Error(status)
	}
	set(access.Viewer, testPassword) // from now on
	if status, _ := v.get("/imports"); status != http.StatusForbidden {
		t.Errorf("who is an editor no more opens imports: %d", status)
	}
	other := c.stranger()
	logIn(other, testPassword)
	if second := other.client.Jar.Cookies(u)[0].Value; second == own {
		t.Error("two sessions are one")
	}
	if status, text := other.post("/settings/password", url.Values{"old": {testPassword}, "new": {"another long word"}}); status != 200 || !strings.Contains(text, "is changed") {
		t.Fatal(status, text)
	}
	if _, text := v.get("/calls"); !strings.Contains(text, `action="/login"`) {
		t.Error("the session of the old password is still good")
	}
	if status, _ := other.get("/calls"); status != 200 {
		t.Error("who changed the password was logged out")
	}
	kept := other.client.Jar.Cookies(u)
	other.post("/logout", nil)
	other.client.Jar.SetCookies(u, kept)
	if _, text := other.get("/calls"); !strings.Contains(text, `action="/login"`) {
		t.Error("a session is good after it was ended")
	}
	logIn(v, "another long word")
	if err := c.keys.RemovePerson("an"); err != nil {
		t.Fatal(err)
	}
	if _, text := v.get("/calls"); !strings.Contains(text, `action="/login"`) {
		t.Error("who was removed is still in")
	}
}

var addresses = regexp.MustCompile(`(?:href|action|src)="([^"]*)"`)

// TestNoSecretIsToldOn: no password, token, session or number stands in an
// address or in the log, whatever one does.
func TestNoSecretIsToldOn(t *testing.T) {
	t.Parallel()
	c, log := startLogged(t)
	c.judgeOne("+31205550100", "+31612345678", "one")
	v := c.stranger()
	var followed []string
	v.client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		followed = append(followed, req.URL.String())
		return nil
	}
	setUp := c.setUp
	v.post("/setup", url.Values{"secret": {"wrong secret of a guesser"}, "name": {"an"}, "password": {testPassword}})
	v.post("/setup", url.Values{"secret": {setUp}, "name": {"an"}, "password": {testPassword}})
	v.post("/logout", nil)
	v.post("/login", url.Values{"name": {"an"}, "password": {"a wrong word of mine"}})
	v.post("/login", url.Values{"name": {"an"}, "password": {testPassword}})
	u, err := url.Parse(c.url())
	if err != nil {
		t.Fatal(err)
	}
	session := v.client.Jar.Cookies(u)[0].Value
	_, page := v.post("/settings/token", url.Values{"name": {"crm"}, "role": {"viewer"}})
	token := regexp.MustCompile(`dgt_[\w-]+`).FindString(page)
	if token == "" {
		t.Fatal(page)
	}
	pages := []string{page}
	visit := func(text string) { pages = append(pages, text) }
	_, page = v.post("/calls/1/number", nil)
	visit(page)
	here := strings.TrimSuffix(handle.FindString(page), "/objection")
	for _, step := range []struct {
		path string
		form url.Values
	}{
		{here + "/objection", url.Values{"advertiser": {"*"}, "via": {"letter"}}}, {here + "/fact", url.Values{"kind": {"subscriber"}, "fields": {"nonsense"}}},
		{here + "/proof", url.Values{"format": {"json"}}}, {"/numbers", url.Values{"number": {"0612345678"}}}, {"/numbers", url.Values{"number": {"06123456789999"}}},
		{"/try", url.Values{"from": {"+31205550100"}, "to": {"0612345678"}}}, {"/proofs", url.Values{"number": {"0612345678"}, "format": {"html"}}},
		{"/settings/person", url.Values{"name": {"bob"}, "role": {"viewer"}, "password": {"the word of bob himself"}}}, {"/settings/reload", nil},
		{here + "/erase", url.Values{"ground": {"request 7"}, "again": {"5678"}}},
	} {
		_, text := v.post(step.path, step.form)
		if !strings.Contains(step.path, "proof") {
			visit(text)
		}
	}
	for _, path := range []string{"/", "/calls", "/calls/1", "/calls/1?full=true", "/proofs", "/settings", "/imports", "/scrub", "/rules"} {
		_, text := v.get(path)
		visit(text)
	}
	c.as(access.Admin, "POST", "/v1/numbers/query", `{"number":"0612345678"}`, 200)
	c.ask("dgt_wrong_token-of-a-guesser", "GET", "/v1/state", "", "")
	secrets := []string{testPassword, url.QueryEscape(testPassword), setUp, session, token, token[len(token)-20:], "a wrong word of mine", "the word of bob himself", "wrong secret of a guesser", "token-of-a-guesser", "12345678"}
	unlogged(t, log.String(), secrets...)
	for _, text := range pages {
		for _, m := range addresses.FindAllStringSubmatch(text, -1) {
			followed = append(followed, m[1])
		}
	}
	if len(followed) < 100 {
		t.Errorf("only %d addresses were seen", len(followed))
	}
	for _, address := range followed {
		for _, secret := range secrets {
			if strings.Contains(address, secret) {
				t.Errorf("%q stands in the address %s", secret, address)
			}
		}
	}
}
