package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strconv"
)

// A streamed is one row of an answer on the control socket, or the error that
// ended the rows.
type streamed[T any] struct {
	Row   T      `json:"row"`
	Error string `json:"error,omitempty"`
}

// serveRows answers with the rows of the ledger from a record on.
func serveRows[T any](rows func(from uint64) iter.Seq2[T, error]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64) // none: from the beginning
		enc := json.NewEncoder(w)
		for row, err := range rows(from) {
			line := streamed[T]{Row: row}
			if err != nil {
				line.Error = oneLine(err)
			}
			if enc.Encode(line) != nil || err != nil {
				return // the client has gone, or there is no more
			}
		}
	}
}

// fetch walks the rows of a node's answer.
func fetch[T any](r *remote, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		res, err := r.do(context.Background(), "GET", path, nil)
		if err != nil {
			yield(none, err)
			return
		}
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		for {
			var line streamed[T]
			err := dec.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && line.Error != "" {
				err = errors.New(line.Error)
			}
			if !yield(line.Row, err) || err != nil {
				return
			}
		}
	}
}
