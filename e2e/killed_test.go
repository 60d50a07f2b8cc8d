//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	killedRows    = 4000 // of the import of each round, which takes two seconds
	killedNumbers = 200
)

// TestKilledUnderEverything kills the node with SIGKILL at a random moment, again
// and again, while calls are made, facts come in by the API and the control
// socket one at a time, and an import runs. After each start everything that was
// acknowledged is there, every call that reached the carrier is recorded, every
// row of the import is whole, and the ledger verifies.
func TestKilledUnderEverything(t *testing.T) {
	rounds := 4
	if long {
		rounds = 100
	}
	n := newNode(t)
	n.replace("store: {", "ledger: {segment_size: 4MiB}\nstore: {import_rate: 2000, ")
	n.consents(killedNumbers, func(i int) string { return []string{"windkracht", ""}[i%2] })
	w := newWitness(t, n)
	n.start()
	n.run("facts", "import", filepath.Join(n.dir, "facts.csv"))
	doors := w.doors()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 8))
	next := 0
	for round := range rounds {
		file := n.killedImport(round)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.calls(ctx, 3*time.Millisecond, killedNumbers) })
		for i, d := range doors {
			from := next + 500_000*i // ids and numbers of its own
			wg.Go(func() {
				for k := from; ctx.Err() == nil; k++ {
					status, body, err := w.add(ctx, d, objectionOf(fmt.Sprint("fact-", k), k))
					if err == nil && status >= 300 {
						t.Errorf("fact %d: %d %s", k, status, body)
						return
					}
					if err != nil { // the node is gone
						return
					}
				}
			})
		}
		next += 5000
		importing := exec.Command(path, "facts", "-c", n.config, "import", file)
		if err := importing.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200*time.Millisecond + time.Duration(random.IntN(1500))*time.Millisecond)
		n.kill()
		cancel()
		wg.Wait()
		_ = importing.Wait() // the node is gone
		n.start()

		recorded, exported := n.decisions(), n.exported()
		lost := w.missing(recorded, exported)
		for i, text := range lost {
			if i < 20 {
				t.Errorf("round %d: %s", round, text)
			}
		}
		half := halfRows(exported)
		for _, text := range half {
			t.Errorf("round %d: %s", round, text)
		}
		eventually(t, "the ledger verifies", 10*time.Second, func() error { // a second after its start the node signs what it found
			out, err := exec.Command(path, "audit", "verify", filepath.Join(n.dir, "data")).CombinedOutput()
			if err != nil || strings.Contains(string(out), "not covered by a checkpoint") {
				return fmt.Errorf("round %d: %w\n%s", round, err, out)
			}
			return nil
		})
		if t.Failed() {
			t.FailNow()
		}
		if round%10 == 9 || round == rounds-1 {
			t.Logf("%d rounds: %s, %d facts in all; lost: %d, half rows: %d", round+1, w.sums(), len(exported), len(lost), len(half))
		}
	}
	if len(w.answered) < 50*rounds || len(w.reached) < 20*rounds || len(w.facts) < 20*rounds {
		t.Errorf("too little came to pass: %d calls answered, %d at the carrier, %d facts", len(w.answered), len(w.reached), len(w.facts))
	}
	// An interrupted import is started again, and nothing is taken twice.
	out := n.run("facts", "import", filepath.Join(n.dir, fmt.Sprintf("import-%d.jsonl", rounds-1)))
	if !strings.Contains(out, fmt.Sprintf("%d rows:", killedRows)) || !strings.Contains(out, "0 rejected") {
		t.Errorf("the import said %q", out)
	}
	if got := len(halfRows(n.exported())); got != 0 {
		t.Errorf("%d rows are not whole", got)
	}
}

// killedRow is row i of the import of a round.
func killedRow(round, i int) string {
	return fmt.Sprintf(`{"id":"row-%d-%d","kind":"objection","number":"+316%08d","advertiser":"windkracht","at":"2026-01-02T03:04:05Z","scope":"telemarketing","via":"import","source":"%s"}`,
		round, i, 30_000_000+round*killedRows+i, strings.Repeat(fmt.Sprint(i%10), 40))
}

func (n *node) killedImport(round int) (file string) {
	var b strings.Builder
	for i := range killedRows {
		b.WriteString(killedRow(round, i) + "\n")
	}
	file = filepath.Join(n.dir, fmt.Sprintf("import-%d.jsonl", round))
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return file
}

// halfRows are the rows of imports that are there and not as they were in the file.
func halfRows(exported map[string]string) (half []string) {
	for id, got := range exported {
		var round, i int
		if _, err := fmt.Sscanf(id, "row-%d-%d", &round, &i); err != nil {
			continue
		}
		var want, have map[string]any
		if json.Unmarshal([]byte(killedRow(round, i)), &want) != nil || json.Unmarshal([]byte(got), &have) != nil {
			half = append(half, "row "+id+" can't be read: "+got)
			continue
		}
		for field, value := range want {
			if have[field] != value && !(field == "scope" && have[field] == nil) {
				half = append(half, fmt.Sprintf("row %s: %s is %v, want %v", id, field, have[field], value))
			}
		}
	}
	return half
}
