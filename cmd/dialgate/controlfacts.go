package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"dialgate/policy"
	"dialgate/store"
)

// factsKeeper is the part of a keeper that is about many facts at once.
type factsKeeper interface {
	Import(ctx context.Context, facts ...policy.Fact) ([]store.Result, error)
	Check(ctx context.Context, facts ...policy.Fact) ([]store.Result, error)
	Undo(ctx context.Context, batch string, o store.UndoOptions) (store.Undone, error)
	Registers() (*store.Registers, error)
	LoadRegister(c store.RegisterLoaded) error
}

// An adder takes facts and tells of each what became of it.
type adder func(ctx context.Context, facts ...policy.Fact) ([]store.Result, error)

// handleFacts answers on the control socket what is about facts.
func handleFacts(mux *http.ServeMux, k keeper) {
	for path, add := range map[string]adder{"POST /facts": k.Add, "POST /facts/import": k.Import, "POST /facts/check": k.Check} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { controlAdd(add, w, r) })
	}
	mux.HandleFunc("POST /undo", func(w http.ResponseWriter, r *http.Request) {
		var ask undoRequest
		if !readControl(w, r, &ask) {
			return
		}
		u, err := k.Undo(r.Context(), ask.Batch, ask.UndoOptions)
		if err != nil {
			http.Error(w, oneLine(err), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(u) // the client has gone
	})
	mux.HandleFunc("GET /registers", func(w http.ResponseWriter, _ *http.Request) {
		r, err := k.Registers()
		if err != nil {
			http.Error(w, oneLine(err), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(r.Loaded()) // the client has gone
	})
	mux.HandleFunc("POST /registers", func(w http.ResponseWriter, r *http.Request) {
		var c store.RegisterLoaded
		if !readControl(w, r, &c) {
			return
		}
		if err := k.LoadRegister(c); err != nil {
			http.Error(w, oneLine(err), http.StatusInternalServerError)
		}
	})
}

// readControl reads a small request, or answers what is wrong with it.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8192)).Decode(into)
	if err != nil {
		http.Error(w, oneLine(err), http.StatusBadRequest)
	}
	return err == nil
}

type undoRequest struct {
	Batch string `json:"batch"`
	store.UndoOptions
}

// Import sends facts that the node takes at its own pace.
func (r *remote) Import(ctx context.Context, facts ...policy.Fact) ([]store.Result, error) {
	return r.send(ctx, "/facts/import", facts)
}

// Check asks the node what it would make of facts.
func (r *remote) Check(ctx context.Context, facts ...policy.Fact) ([]store.Result, error) {
	return r.send(ctx, "/facts/check", facts)
}

// Undo has the node undo a batch.
func (r *remote) Undo(ctx context.Context, batch string, o store.UndoOptions) (u store.Undone, err error) {
	return u, r.ask(ctx, "POST", "/undo", undoRequest{batch, o}, &u)
}

// Registers asks the node which copies of registers it has.
func (r *remote) Registers() (*store.Registers, error) {
	var loaded []store.RegisterLoaded
	err := r.ask(context.Background(), "GET", "/registers", nil, &loaded)
	return store.RegistersOf(loaded), err
}

// registersHeader tells which version of the copies of registers belongs to
// what is known of numbers: they are many, and seldom change.
const registersHeader = "Dialgate-Registers"

// knownRegisters are the copies that the node told of last.
type knownRegisters struct {
	mu      sync.Mutex
	version string
	loaded  *store.Registers
}

// registersOf are the copies of a version, or a later one.
func (r *remote) registersOf(version string) (*store.Registers, error) {
	k := &r.registers
	k.mu.Lock()
	defer k.mu.Unlock()
	if version == k.version || version == "0" {
		return k.loaded, nil
	}
	loaded, err := r.Registers()
	if err != nil {
		return nil, err
	}
	k.version, k.loaded = strconv.FormatUint(loaded.Version(), 10), loaded
	return loaded, nil
}

// LoadRegister tells the node that the copy of a register is in.
func (r *remote) LoadRegister(c store.RegisterLoaded) error {
	return r.ask(context.Background(), "POST", "/registers", c, nil)
}

// ask sends a small request and reads the answer, if there is one.
func (r *remote) ask(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	res, err := r.do(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	return nil
}
