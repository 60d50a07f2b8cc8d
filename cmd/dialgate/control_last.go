package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"dialgate/store"
)

// mostLast bounds the decisions that are held in memory at once.
const mostLast = 100_000

// controlLast answers with the last decisions of the ledger.
func controlLast(k keeper, w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 || n > mostLast {
		http.Error(w, fmt.Sprintf("n is a number from 1 to %d", mostLast), http.StatusBadRequest)
		return
	}
	last, err := k.Last(n)
	if err != nil {
		http.Error(w, oneLine(err), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(last) // the client has gone
}

// Last asks the node for its last decisions.
func (r *remote) Last(n int) ([]store.Decision, error) {
	res, err := r.do(context.Background(), "GET", "/decisions/last?n="+strconv.Itoa(n), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var last []store.Decision
	if err := json.NewDecoder(res.Body).Decode(&last); err != nil {
		return nil, fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	return last, nil
}
