//go:build e2e

package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A listener to webhooks that is away, answers late and answers wrongly by
// chance, and verifies what comes as the text of Standard Webhooks says.
type listener struct {
	t      *testing.T
	secret []byte

	mu    sync.Mutex
	moody bool
	took  []string // ids of facts, in the order in which they were taken
	byID  map[string]string
	again int // events that came though they had been taken
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the node was killed
	}
	id := r.Header.Get("webhook-id")
	mac := hmac.New(sha256.New, l.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, r.Header.Get("webhook-timestamp"), body)
	var event struct {
		Type string
		Data struct{ ID, Number string }
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
		l.t.Errorf("the signature is %q, want %q", r.Header.Get("webhook-signature"), want)
	}
	if err := json.Unmarshal(body, &event); err != nil || event.Type != "objection.recorded" || strings.Count(event.Data.Number, "*") != 6 {
		l.t.Errorf("%s: %v", body, err)
	}
	if l.moody && rand.IntN(30) == 0 {
		w.WriteHeader([]int{301, 400, 500, 503}[rand.IntN(4)])
		return
	}
	if before, there := l.byID[id]; there {
		l.again++
		if before != event.Data.ID {
			l.t.Errorf("%s is %s, and was %s", id, event.Data.ID, before)
		}
		return
	}
	l.byID[id] = event.Data.ID
	l.took = append(l.took, event.Data.ID)
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took)
}

// TestWebhooksOverCrashes kills the node in mid-delivery, again and again, with
// an endpoint that comes and goes: each objection that was acknowledged is told
// of, in the order of the ledger, under an id that stays.
func TestWebhooksOverCrashes(t *testing.T) {
	n := newNode(t)
	text, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	api := fmt.Sprintf(`api: {address: "127.0.0.1:%d"`, n.api)
	if err := os.WriteFile(n.config, bytes.Replace(text, []byte(api), []byte(api+", webhooks_to: [127.0.0.1]"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	token := strings.Fields(n.run("token", "create", "admin", "--role", "admin"))
	secret := ""
	for _, word := range token {
		if strings.HasPrefix(word, "dgt_") {
			secret = word
		}
	}
	ask := func(method, path, body string, want int) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, n.url(path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, _ := io.ReadAll(res.Body)
		if res.StatusCode != want {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
		}
		return string(answer)
	}
	n.start()
	l := &listener{t: t, byID: map[string]string{}}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var made struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(ask("POST", "/v1/webhooks", fmt.Sprintf(`{"name":"crm","url":"http://%s/hook","role":"viewer","events":["objection"]}`, address), 201)), &made); err != nil {
		t.Fatal(err)
	}
	if l.secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_")); err != nil {
		t.Fatal(err)
	}
	var server *http.Server
	open := func() {
		t.Helper()
		conn, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server = &http.Server{Handler: l}
		go func() { _ = server.Serve(conn) }() // until it is closed
	}
	var want []string
	object := func(count int) {
		for range count {
			id := fmt.Sprint("o", len(want))
			ask("POST", "/v1/objections", fmt.Sprintf(`{"id":%q,"number":"+3161%07d"}`, id, len(want)), 201)
			want = append(want, id)
		}
	}
	for round := range scale(3) {
		object(scale(100)) // nobody listens
		open()
		l.mu.Lock()
		l.moody = round%2 == 1
		l.mu.Unlock()
		ask("POST", "/v1/webhooks/"+made.ID+"/enable", "{}", 204) // it need not wait for the next try
		told := l.count()
		eventually(t, "some events are told of", 30*time.Second, func() error {
			if l.count() < told+20 {
				return fmt.Errorf("%d of %d", l.count(), len(want))
			}
			return nil
		})
		object(20)
		n.kill()
		server.Close()
		n.start()
	}
	l.mu.Lock()
	l.moody = false
	l.mu.Unlock()
	open()
	defer func() { server.Close() }()
	ask("POST", "/v1/webhooks/"+made.ID+"/enable", "{}", 204)
	eventually(t, "every event is told of", 60*time.Second, func() error {
		if l.count() < len(want) {
			return fmt.Errorf("%d of %d", l.count(), len(want))
		}
		return nil
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range want {
		if l.took[i] != want[i] {
			t.Fatalf("event %d is %s, want %s", i, l.took[i], want[i])
		}
	}
	t.Logf("%d events, %d of them told again", len(l.took), l.again)
}
