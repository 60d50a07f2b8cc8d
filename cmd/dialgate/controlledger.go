package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dialgate/policy"
	"dialgate/store"
	"dialgate/store/ledger"
)

// ledgerKeeper is the part of a keeper that is about evidence.
type ledgerKeeper interface {
	PublicKey() (ledger.Key, error)
	Checkpoint() ([]byte, error)
	Prove(n policy.Number, knownAt time.Time) (*store.Pack, error)
	ExportLedger(from, to time.Time, w io.Writer) error
	Erase(n policy.Number, ground string) (store.Erased, error)
	Backup(ctx context.Context, w io.Writer, since []byte, pace int64) (ledger.Checkpoint, error)
}

// handleLedger answers on the control socket what is about evidence.
func handleLedger(mux *http.ServeMux, k ledgerKeeper) {
	mux.HandleFunc("GET /ledger/key", func(w http.ResponseWriter, _ *http.Request) {
		key, err := k.PublicKey()
		if err != nil {
			http.Error(w, oneLine(err), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, key)
	})
	mux.HandleFunc("GET /ledger/checkpoint", func(w http.ResponseWriter, _ *http.Request) {
		signed, err := k.Checkpoint()
		if err != nil {
			http.Error(w, oneLine(err), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(signed) // the client has gone
	})
	mux.HandleFunc("GET /ledger/export", func(w http.ResponseWriter, r *http.Request) {
		from, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("from"))
		if err != nil {
			http.Error(w, "from is no instant", http.StatusBadRequest)
			return
		}
		to, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("to"))
		if err != nil {
			http.Error(w, "to is no instant", http.StatusBadRequest)
			return
		}
		if err := k.ExportLedger(from, to, w); err != nil {
			panic(http.ErrAbortHandler) // the client sees a stream that was cut
		}
	})
	mux.HandleFunc("POST /ledger/backup", func(w http.ResponseWriter, r *http.Request) { controlBackup(k, w, r) })
	mux.HandleFunc("POST /erasures", func(w http.ResponseWriter, r *http.Request) {
		var ask eraseRequest
		answerAbout(w, r, &ask, &ask.Number, func(n policy.Number) (any, error) { return k.Erase(n, ask.Ground) })
	})
	mux.HandleFunc("POST /ledger/proofs", func(w http.ResponseWriter, r *http.Request) {
		var ask proofRequest
		answerAbout(w, r, &ask, &ask.Number, func(n policy.Number) (any, error) { return k.Prove(n, ask.KnownAt) })
	})
}

// answerAbout reads a small request about a number and answers in JSON.
func answerAbout(w http.ResponseWriter, r *http.Request, ask any, number *string, do func(policy.Number) (any, error)) {
	if !readControl(w, r, ask) {
		return
	}
	n, err := policy.ParseNumber(*number)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := do(n)
	if err != nil {
		http.Error(w, oneLine(err), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(answer) // the client has gone
}

type eraseRequest struct {
	Number string `json:"number"`
	Ground string `json:"ground"`
}

type proofRequest struct {
	Number  string    `json:"number"`
	KnownAt time.Time `json:"known_at,omitzero"`
}

// PublicKey asks the node for its key.
func (r *remote) PublicKey() (ledger.Key, error) {
	text, err := r.small("/ledger/key")
	if err != nil {
		return ledger.Key{}, err
	}
	return ledger.ParseKey(string(text))
}

// Checkpoint asks the node for a checkpoint of all records.
func (r *remote) Checkpoint() ([]byte, error) { return r.small("/ledger/checkpoint") }

// small reads a short answer.
func (r *remote) small(path string) ([]byte, error) {
	res, err := r.do(context.Background(), "GET", path, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, 8192))
}

// Prove asks the node for the proof pack of a number.
func (r *remote) Prove(n policy.Number, knownAt time.Time) (*store.Pack, error) {
	body, err := json.Marshal(proofRequest{n.E164(), knownAt})
	if err != nil {
		return nil, err
	}
	res, err := r.do(context.Background(), "POST", "/ledger/proofs", strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var p store.Pack
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		return nil, fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	return &p, nil
}

// ExportLedger copies the node's export.
func (r *remote) ExportLedger(from, to time.Time, w io.Writer) error {
	q := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
	res, err := r.do(context.Background(), "GET", "/ledger/export?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	return err
}

// Erase has the node erase a number.
func (r *remote) Erase(n policy.Number, ground string) (e store.Erased, err error) {
	body, err := json.Marshal(eraseRequest{n.E164(), ground})
	if err != nil {
		return e, err
	}
	res, err := r.do(context.Background(), "POST", "/erasures", strings.NewReader(string(body)))
	if err != nil {
		return e, err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&e); err != nil {
		return e, fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	return e, nil
}
