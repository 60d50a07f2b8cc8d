package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dialgate/policy"
	"dialgate/store"
)

// A keeper is the store as commands use it: opened by the command itself, or
// held by a running node and reached through its control socket.
type keeper interface {
	Add(ctx context.Context, facts ...policy.Fact) ([]store.Result, error)
	factsKeeper
	History(n policy.Number) (policy.Facts, error)
	Known(numbers []policy.Number, into []policy.Facts) error
	Export(w io.Writer) error
	Decisions(from uint64) iter.Seq2[store.Decision, error]
	Blocked(from uint64) iter.Seq2[store.Blocked, error]
	Late(from uint64) iter.Seq2[store.Late, error]
	Repeats(from uint64) iter.Seq2[store.Repeated, error]
	Last(n int) ([]store.Decision, error)
	ledgerKeeper
	Close() error
}

func socketPath(dir string) string { return filepath.Join(dir, "control.sock") }

// openKeeper reaches the store of a directory: through a running node's
// control socket if there is one, else by opening it.
func openKeeper(dir string, o store.Options) (keeper, error) {
	if c, err := net.DialTimeout("unix", socketPath(dir), time.Second); err == nil {
		c.Close()
		return newRemote(socketPath(dir)), nil
	}
	s, err := store.Open(o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// serveControl answers commands on the control socket until the listener is
// closed. Only the same user and root may connect.
func serveControl(dir string, k *store.Store, reload func() (reloaded, error)) (*http.Server, error) {
	path := socketPath(dir)
	// A socket left by a crash: the store's lock says that nobody else is here.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the control socket can't be made: %w", err)
	}
	mask := unix.Umask(0o177)
	l, err := net.Listen("unix", path)
	unix.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("the control socket can't be made: %w", err)
	}
	mux := http.NewServeMux()
	handleFacts(mux, k)
	mux.HandleFunc("POST /known", func(w http.ResponseWriter, r *http.Request) { controlKnown(k, w, r) })
	mux.HandleFunc("GET /export", func(w http.ResponseWriter, _ *http.Request) {
		if err := k.Export(w); err != nil {
			panic(http.ErrAbortHandler) // the client sees a stream that was cut
		}
	})
	mux.HandleFunc("GET /decisions/last", func(w http.ResponseWriter, r *http.Request) { controlLast(k, w, r) })
	mux.HandleFunc("GET /decisions", func(w http.ResponseWriter, r *http.Request) { controlDecisions(k, w, r) })
	mux.HandleFunc("GET /blocked", serveRows(k.Blocked))
	mux.HandleFunc("GET /late", serveRows(k.Late))
	mux.HandleFunc("GET /repeats", serveRows(k.Repeats))
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, _ *http.Request) { controlReload(reload, w) })
	handleLedger(mux, k)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(sameUser{l}) }() // ends with Close
	return server, nil
}

// sameUser accepts connections of the same user and of root.
type sameUser struct{ net.Listener }

func (l sameUser) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c.(*net.UnixConn)); err == nil && (uid == 0 || int(uid) == os.Getuid()) {
			return c, nil
		}
		c.Close()
	}
}

func peerUID(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(fd uintptr) { uid, err = uidBehind(int(fd)) }); e != nil {
		return 0, e
	}
	return uid, err
}

// addResult is a store.Result on the wire.
type addResult struct {
	ID    string `json:"id"`
	Known bool   `json:"known,omitempty"`
	Error string `json:"error,omitempty"`
}

const maxControlBody = 64 << 20

func controlAdd(add adder, w http.ResponseWriter, r *http.Request) {
	var facts []policy.Fact
	sc := bufio.NewScanner(http.MaxBytesReader(w, r.Body, maxControlBody))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f, err := policy.FactForm{Zone: calledZone()}.ParseJSON(sc.Bytes())
		if err != nil {
			http.Error(w, oneLine(err), http.StatusBadRequest)
			return
		}
		facts = append(facts, f)
	}
	if err := sc.Err(); err != nil {
		http.Error(w, oneLine(err), http.StatusBadRequest)
		return
	}
	results, err := add(r.Context(), facts...)
	if err != nil {
		http.Error(w, oneLine(err), http.StatusInternalServerError)
		return
	}
	out := make([]addResult, len(results))
	for i, res := range results {
		out[i] = addResult{ID: res.ID, Known: res.Known}
		if res.Err != nil {
			out[i].Error = res.Err.Error()
		}
	}
	_ = json.NewEncoder(w).Encode(out) // the client has gone
}

// maxKnown bounds the numbers that are asked for at once.
const maxKnown = 4096

// controlKnown tells what is known of numbers, each 8 octets in the body, in
// the form of the store.
func controlKnown(s *store.Store, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8*maxKnown))
	if err != nil {
		http.Error(w, oneLine(err), http.StatusBadRequest)
		return
	}
	var numbers []policy.Number
	for ; len(body) >= 8; body = body[8:] {
		n, _ := policy.NumberOfKey(binary.BigEndian.Uint64(body)) // no number: nothing is known of it
		numbers = append(numbers, n)
	}
	registers, err := s.Registers()
	var out []byte
	if err == nil {
		out, err = s.AppendKnown(nil, numbers)
	}
	if err != nil {
		http.Error(w, oneLine(err), http.StatusInternalServerError)
		return
	}
	w.Header().Set(registersHeader, strconv.FormatUint(registers.Version(), 10))
	_, _ = w.Write(out) // the client has gone
}

func controlDecisions(k keeper, w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64) // none: from the beginning
	enc := json.NewEncoder(w)
	for d, err := range k.Decisions(from) {
		if err != nil {
			_ = enc.Encode(map[string]string{"error": oneLine(err)})
			return
		}
		if enc.Encode(d) != nil {
			return // the client has gone
		}
	}
}

// A remote is a keeper behind a control socket.
type remote struct {
	client    *http.Client
	registers knownRegisters
}

func newRemote(path string) *remote {
	return &remote{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
}

func (r *remote) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the running node does not answer on its control socket: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
		res.Body.Close()
		return nil, fmt.Errorf("the running node refuses: %s", bytes.TrimSpace(text))
	}
	return res, nil
}

// Add sends facts to the node.
func (r *remote) Add(ctx context.Context, facts ...policy.Fact) ([]store.Result, error) {
	return r.send(ctx, "/facts", facts)
}

func (r *remote) send(ctx context.Context, path string, facts []policy.Fact) ([]store.Result, error) {
	var body []byte
	for i := range facts {
		body = append(facts[i].AppendJSON(body), '\n')
	}
	res, err := r.do(ctx, "POST", path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var wire []addResult
	if err := json.NewDecoder(res.Body).Decode(&wire); err != nil {
		return nil, fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	out := make([]store.Result, len(wire))
	for i, w := range wire {
		out[i] = store.Result{ID: w.ID, Known: w.Known}
		if w.Error != "" {
			out[i].Err = errors.New(w.Error)
		}
	}
	return out, nil
}

// History asks the node for what is known of a number.
func (r *remote) History(n policy.Number) (policy.Facts, error) {
	var f [1]policy.Facts
	err := r.Known([]policy.Number{n}, f[:])
	return f[0], err
}

// Known asks the node for what is known of numbers.
func (r *remote) Known(numbers []policy.Number, into []policy.Facts) error {
	for len(numbers) > 0 {
		n := min(len(numbers), maxKnown)
		if err := r.known(numbers[:n], into[:n]); err != nil {
			return err
		}
		numbers, into = numbers[n:], into[n:]
	}
	return nil
}

func (r *remote) known(numbers []policy.Number, into []policy.Facts) error {
	body := make([]byte, 0, 8*len(numbers))
	for _, n := range numbers {
		body = binary.BigEndian.AppendUint64(body, n.Key())
	}
	res, err := r.do(context.Background(), "POST", "/known", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := store.ReadKnown(bufio.NewReader(res.Body), numbers, into); err != nil {
		return fmt.Errorf("the running node's answer can't be read: %w", err)
	}
	registers, err := r.registersOf(res.Header.Get(registersHeader))
	if err != nil {
		return err
	}
	for i := range into {
		registers.Tell(&into[i])
	}
	return nil
}

// Export copies the node's facts.
func (r *remote) Export(w io.Writer) error {
	res, err := r.do(context.Background(), "GET", "/export", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(w, res.Body)
	return err
}

// Decisions walks the node's decisions.
func (r *remote) Decisions(from uint64) iter.Seq2[store.Decision, error] {
	return func(yield func(store.Decision, error) bool) {
		res, err := r.do(context.Background(), "GET", "/decisions?from="+strconv.FormatUint(from, 10), nil)
		if err != nil {
			yield(store.Decision{}, err)
			return
		}
		defer res.Body.Close()
		dec := json.NewDecoder(res.Body)
		for {
			var line struct {
				store.Decision
				Error string `json:"error"`
			}
			err := dec.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && line.Error != "" {
				err = errors.New(line.Error)
			}
			if !yield(line.Decision, err) || err != nil {
				return
			}
		}
	}
}

// Close has nothing to close.
func (r *remote) Close() error { return nil }
