package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"dialgate/policy"
	"dialgate/store"
)

// nodeAndKeeper starts a node and reaches it through its control socket.
func nodeAndKeeper(t *testing.T) (n *node, k *remote, config string) {
	t.Helper()
	dir := t.TempDir()
	config = filepath.Join(dir, "dialgate.yaml")
	text := strings.ReplaceAll(fmt.Sprintf(reloadText, "safe", "windkracht", filepath.Join(dir, "data")), "\r", "")
	text += "registers: [{id: nobellen, max_age: 30}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := loadAccepted(config)
	if err != nil {
		t.Fatal(err)
	}
	if n, err = startNode(w, nodeOptions{now: time.Now, log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	reached, err := openKeeper(w.cfg.Store.Path, storeOptions(w.cfg))
	if err != nil {
		t.Fatal(err)
	}
	return n, reached.(*remote), config
}

// dialgate runs one command and returns what it says.
func dialgate(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, fault bytes.Buffer
	if got := run(args, streams{strings.NewReader(""), &out, &fault}); got != want {
		t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, want, out.String(), fault.String())
	}
	return out.String() + fault.String()
}

// TestFactsOfARunningNode: dry run, import, registers and undo through the
// control socket, with the same answers.
func TestFactsOfARunningNode(t *testing.T) {
	t.Parallel()
	n, k, config := nodeAndKeeper(t)
	list := filepath.Join(t.TempDir(), "list.csv")
	rows := "kind,number,advertiser,at,preticked,bundled\n" +
		"consent,0612345601,windkracht,2024-05-01,false,false\nobjection,0612345601,*,2024-06-01,,\nobjection,06,*,2024-06-01,,\n"
	if err := os.WriteFile(list, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := dialgate(t, 1, "facts", "-c", config, "import", "--dry-run", list); !strings.Contains(got, "would be imported: 1 consent, 1 objection") {
		t.Error(got)
	}
	called := policy.MustNumber("+31612345601")
	if f, err := k.History(called); err != nil || len(f.All) != 0 {
		t.Errorf("a dry run left %+v, %v", f.All, err)
	}
	dialgate(t, 1, "facts", "-c", config, "import", list)
	if got := dialgate(t, 1, "facts", "-c", config, "import", list); !strings.Contains(got, "3 rows: 0 imported, 2 known already, 1 rejected") {
		t.Error(got)
	}
	if got := dialgate(t, 0, "facts", "-c", config, "undo", "list.csv"); !strings.Contains(got, "undone: 1 consent; undone before: nothing") || !strings.Contains(got, "1 objection; --lift") {
		t.Error(got)
	}
	f, err := k.History(called)
	if err != nil || len(f.All) != 3 || len(f.InForce().All) != 1 {
		t.Errorf("%+v, %v", f.All, err)
	}

	register := filepath.Join(t.TempDir(), "nobellen.csv")
	if err := os.WriteFile(register, []byte("number\n0612345602\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dialgate(t, 1, "facts", "-c", config, "registers")
	today := policy.DateOf(time.Now().In(calledZone()))
	dialgate(t, 0, "facts", "-c", config, "import", "--register", "nobellen", "--as-of", today.String(), register)
	if got := dialgate(t, 0, "facts", "-c", config, "registers"); !strings.Contains(got, "serves until "+today.AddDays(30).String()) {
		t.Error(got)
	}
	families, err := n.registry.Gather()
	if err != nil || !slices.ContainsFunc(families, func(f *dto.MetricFamily) bool {
		return f.GetName() == "dialgate_register_as_of_timestamp_seconds" && f.Metric[0].Gauge.GetValue() == float64(today.In(calledZone()).Unix())
	}) {
		t.Errorf("no metric tells the copy's date: %v", err)
	}
	var live policy.Facts
	if err := n.store.Facts(called, &live); err != nil || !live.AsOf["nobellen"].Equal(today.In(calledZone())) {
		t.Errorf("a call sees %v, %v", live.AsOf, err)
	}
	if f, err = k.History(called); err != nil || !f.AsOf["nobellen"].Equal(today.In(calledZone())) {
		t.Errorf("a command sees %v, %v", f.AsOf, err)
	}
	// The keeper hears of a later copy, though it knows one.
	if err := k.LoadRegister(store.RegisterLoaded{Register: "elders", AsOf: today.In(calledZone()), Entries: 1}); err != nil {
		t.Fatal(err)
	}
	if f, err = k.History(called); err != nil || len(f.AsOf) != 2 {
		t.Errorf("a command sees %v, %v", f.AsOf, err)
	}
	if known := f.KnownAt(time.Now().AddDate(0, 0, -1)); len(known.AsOf) != 0 {
		t.Errorf("yesterday was known %v", known.AsOf)
	}
}

// TestObjectionsDuringAnImport: while an import runs, an objection through the
// control socket is in force when it is acknowledged, and is not kept waiting
// by more than a chunk of the import.
func TestObjectionsDuringAnImport(t *testing.T) {
	n, k, _ := nodeAndKeeper(t)
	empty := n.store.LedgerEnd()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			facts := make([]policy.Fact, importBatch)
			for j := range facts {
				number, _ := policy.NumberOfKey(31_620_000_000 + uint64(i*importBatch+j))
				facts[j] = policy.Fact{ID: fmt.Sprint("r", i, "-", j), Kind: policy.Relationship, Number: number, Advertiser: "windkracht",
					At: time.Now().AddDate(0, -1, 0), Type: policy.Sale, Started: 20260101, Batch: "import"}
			}
			if _, err := k.Import(ctx, facts...); err != nil {
				break
			}
		}
	}()
	for n.store.LedgerEnd() == empty {
		time.Sleep(time.Millisecond) // until the import is under way
	}
	const objections = 100
	waits := make([]uint64, objections) // in records that went to the ledger meanwhile
	begun := n.store.LedgerEnd()
	for i := range waits {
		number, _ := policy.NumberOfKey(31_612_000_000 + uint64(i))
		before := n.store.LedgerEnd()
		results, err := k.Add(t.Context(), policy.Fact{Kind: policy.Objection, Number: number, Advertiser: "*", At: time.Now().Truncate(time.Second)})
		waits[i] = n.store.LedgerEnd() - before
		if err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
		var f policy.Facts
		if err := n.store.Facts(number, &f); err != nil || len(f.All) != 1 {
			t.Fatalf("an acknowledged objection is not in force: %v, %v", f.All, err)
		}
	}
	took := n.store.LedgerEnd() - begun - objections
	stop()
	<-ended
	slices.Sort(waits)
	t.Logf("%d rows were imported; beside an objection %d in the middle, %d at most", took, waits[objections/2], waits[objections-1])
	if took == 0 {
		t.Error("no import ran beside")
	}
	// Counted, not timed: one that waits for the import is overtaken by what the
	// import is given at once.
	if waits[objections/2] > importBatch/2 {
		t.Errorf("half of the objections waited for more than %d rows of %d", waits[objections/2], importBatch)
	}
}

// TestAnImportIsPaced: facts beyond the rate wait.
func TestAnImportIsPaced(t *testing.T) {
	t.Parallel()
	s, err := store.Open(store.Options{Dir: t.TempDir(), ImportRate: 5000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	facts := make([]policy.Fact, 1500)
	for i := range facts {
		number, _ := policy.NumberOfKey(31_620_000_000 + uint64(i))
		facts[i] = policy.Fact{ID: fmt.Sprint(i), Kind: policy.Objection, Number: number, Advertiser: "*", At: time.Now().Add(-time.Hour)}
	}
	start := time.Now()
	if _, err := s.Import(t.Context(), facts...); err != nil {
		t.Fatal(err)
	}
	// The first chunk of 100 goes at once; before the last one 1,400 have had their time.
	if took := time.Since(start); took < 240*time.Millisecond {
		t.Errorf("1,500 facts at 5,000 a second took %v", took)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if results, err := s.Import(stopped, facts...); err == nil || len(results) != len(facts) {
		t.Errorf("%d results, %v", len(results), err)
	}
}

// TestAnInterruptedImportGoesOn: it is killed and interrupted half way; the
// same command finishes it, says what was in, and takes nothing twice.
func TestAnInterruptedImportGoesOn(t *testing.T) { // not beside others: a process that begins holds their locks for a moment
	dir := t.TempDir()
	const rows = 30_000
	var list bytes.Buffer
	list.WriteString("kind,number,advertiser,at,source\n")
	for i := range rows {
		fmt.Fprintf(&list, "objection,+3162%07d,*,2024-05-01,a list of objections that somebody kept\n", i)
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command("dialgate", args...) // this program, see TestMain
		cmd.Dir = dir
		return cmd
	}
	for _, signal := range []os.Signal{os.Kill, os.Interrupt} {
		cmd := command("facts", "import", "-")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// What does not fit in the pipe and the reader's memory has been read, and
		// all but the last batch of it is in.
		if _, err := in.Write(list.Bytes()[:list.Len()/2]); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(signal)
		if signal == os.Interrupt { // it stops at the end of a batch
			_, _ = in.Write(list.Bytes()[list.Len()/2:]) // as far as it still reads
		}
		in.Close()
		t.Logf("%v: %v", signal, cmd.Wait())
	}
	last := command("facts", "import", "-")
	last.Stdin = bytes.NewReader(list.Bytes())
	out, err := last.CombinedOutput()
	var all, added, known, rejected int
	if _, scan := fmt.Sscanf(string(out), "%d rows: %d imported, %d known already, %d rejected", &all, &added, &known, &rejected); err != nil || scan != nil {
		t.Fatalf("%v, %v: %s", err, scan, out)
	}
	t.Logf("after two interruptions %d were in, %d were left", known, added)
	if all != rows || added+known != rows || known < 1000 {
		t.Errorf("%s", out)
	}
	text, err := command("facts", "export").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[policy.Number]bool{}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		f, err := policy.FactForm{}.ParseJSON(sc.Bytes())
		if err != nil || seen[f.Number] {
			t.Fatalf("%s twice, or %v", f.Number, err)
		}
		seen[f.Number] = true
	}
	if len(seen) != rows {
		t.Errorf("%d numbers, want %d", len(seen), rows)
	}
}
