package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// FileName is the file of endpoints in a node's directory. It holds their
// secrets, so only its owner may read it.
const FileName = "webhooks.json"

// A Hook is one endpoint.
type Hook struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	URL        string    `json:"url"`
	Role       string    `json:"role"` // whose eyes it has
	Advertiser string    `json:"advertiser,omitempty"`
	Events     []string  `json:"events"`
	Verdict    string    `json:"verdict,omitempty"` // this and what follows: of the decisions that it is told of
	Reason     string    `json:"reason,omitempty"`
	Campaign   string    `json:"campaign,omitempty"`
	Peer       string    `json:"peer,omitempty"`
	Created    time.Time `json:"created"`
	Secrets    []Secret  `json:"secrets"` // the newest first
	State      State     `json:"state"`
}

// A State is how the deliveries to an endpoint stand.
type State struct {
	Cursor    uint64    `json:"cursor"` // record of the ledger up to which it was told
	Delivered uint64    `json:"delivered"`
	Missed    uint64    `json:"missed,omitempty"` // records that retention removed before they could be told
	Last      time.Time `json:"last,omitzero"`    // when it last took an event
	Failing   time.Time `json:"failing,omitzero"` // since when it takes none
	Tries     int       `json:"tries,omitempty"`  // in vain, in a row
	Next      time.Time `json:"next,omitzero"`    // try
	Why       string    `json:"why,omitempty"`
	Disabled  time.Time `json:"disabled,omitzero"` // given up; why says for what reason
}

// Is is the state in one word.
func (s *State) Is() string {
	switch {
	case !s.Disabled.IsZero():
		return "disabled"
	case !s.Failing.IsZero():
		return "failing"
	}
	return "working"
}

// Wants reports whether the endpoint is told of events of a kind.
func (h *Hook) Wants(event string) bool { return slices.Contains(h.Events, event) }

// Host is whom the endpoint's address names, for the log: the rest of it can be
// a secret.
func (h *Hook) Host() string {
	u, err := url.Parse(h.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// copy is the hook as it is now, to be read while it changes.
func (h *Hook) copy() *Hook {
	c := *h
	c.Events, c.Secrets = slices.Clone(h.Events), slices.Clone(h.Secrets)
	return &c
}

// Options of Hooks.
type Options struct {
	Dir     string
	Allowed []netip.Prefix // networks that may be reached though they are not of the open internet
	Agent   string         // what deliveries call themselves
	Log     *slog.Logger
	Now     func() time.Time
	// Read reads what an endpoint is told of behind a record of the ledger: the
	// messages in order, the record that it came to, and how many records
	// behind the cursor are not there any more.
	Read func(h *Hook, after uint64) (messages []Message, last, missed uint64, err error)
	// Sends is asked before a message leaves for the first time.
	Sends func(h *Hook, m *Message) error
	// End is the last record of the ledger.
	End func() uint64
	// Pace is how often things are tried; zero: as the constants say.
	Pace Pace
}

// A Pace is how often things are tried.
type Pace struct {
	Poll    time.Duration // for new events
	First   time.Duration // wait after a failure; each further one doubles it
	Longest time.Duration // wait
	GiveUp  time.Duration // after so long without a success
	Tries   int           // and so many tries
}

var usualPace = Pace{Poll: 500 * time.Millisecond, First: 5 * time.Second, Longest: time.Hour, GiveUp: 72 * time.Hour, Tries: 20}

const (
	maxHooks  = 20
	saveEvery = time.Second // that cursors are on disk later at most
)

// Hooks are the endpoints of a node with their deliveries.
type Hooks struct {
	o      Options
	client *client
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu    sync.Mutex
	all   []*Hook
	wake  map[string]chan struct{}
	saved time.Time
	dirty bool
}

// Open reads the endpoints and begins to deliver. Close ends it.
func Open(o Options) (*Hooks, error) {
	if o.Pace == (Pace{}) {
		o.Pace = usualPace
	}
	s := &Hooks{o: o, client: newClient(o.Agent, o.Allowed), wake: map[string]chan struct{}{}}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, h := range s.all {
		// A ledger that was brought back from a backup ends before what was told of.
		h.State.Cursor = min(h.State.Cursor, o.End())
		s.start(h.ID)
	}
	return s, nil
}

// Close ends the deliveries and writes down how far they are.
func (s *Hooks) Close() error {
	s.cancel()
	s.ended.Wait()
	s.client.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	return s.write()
}

func (s *Hooks) path() string { return filepath.Join(s.o.Dir, FileName) }

func (s *Hooks) load() error {
	info, err := os.Stat(s.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the webhooks can't be read: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s may be read by others (mode %o) and holds secrets; make it 600, and make new secrets if others did read it", s.path(), mode)
	}
	data, err := os.ReadFile(s.path())
	if err != nil {
		return fmt.Errorf("the webhooks can't be read: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s.all); err != nil {
		return fmt.Errorf("%s can't be read: %w; bring it back from a copy, or remove it and name the webhooks anew", s.path(), err)
	}
	return nil
}

// write writes the file whole or not at all.
func (s *Hooks) write() error {
	data, err := json.MarshalIndent(s.all, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.o.Dir, ".webhooks-*") // mode 600
	if err != nil {
		return fmt.Errorf("the webhooks can't be written: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path())
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("the webhooks can't be written: %w", err)
	}
	s.saved, s.dirty = s.o.Now(), false
	return nil
}

// find is an endpoint, nil when there is none of this id. s.mu is held.
func (s *Hooks) find(id string) *Hook {
	if i := slices.IndexFunc(s.all, func(h *Hook) bool { return h.ID == id }); i >= 0 {
		return s.all[i]
	}
	return nil
}

// ErrUnknown is the answer to an id that no endpoint has.
var ErrUnknown = errors.New("there is no such webhook")

// change changes an endpoint and writes it down; when that fails, nothing changed.
func (s *Hooks) change(id string, f func(*Hook) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.find(id)
	if h == nil {
		return ErrUnknown
	}
	before := h.copy()
	err := f(h)
	if err == nil {
		err = s.write()
	}
	if err != nil {
		*h = *before
	}
	return err
}

// Kinds of events.
const (
	Decision  = "decision"
	Objection = "objection"
)

// CheckURL tells why an address can't be that of an endpoint, nil if it can.
func (s *Hooks) CheckURL(text string) error { return checkURL(text, s.o.Allowed) }

// Add makes an endpoint, which is told of what is recorded from now on, and
// returns its secret.
func (s *Hooks) Add(h Hook) (secret string, made *Hook, err error) {
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	one := newSecret()
	h.ID, h.Secrets, h.Created = hex.EncodeToString(id), []Secret{one}, s.o.Now().UTC().Truncate(time.Second)
	h.State = State{Cursor: s.o.End()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxHooks {
		return "", nil, fmt.Errorf("there are %d webhooks already; remove some", maxHooks)
	}
	s.all = append(s.all, &h)
	if err := s.write(); err != nil {
		s.all = s.all[:len(s.all)-1]
		return "", nil, err
	}
	s.start(h.ID)
	return one.Key, h.copy(), nil
}

// Remove ends the deliveries to an endpoint.
func (s *Hooks) Remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := slices.Clone(s.all)
	s.all = slices.DeleteFunc(s.all, func(h *Hook) bool { return h.ID == id })
	if len(s.all) == len(before) {
		return ErrUnknown
	}
	if err := s.write(); err != nil {
		s.all = before
		return err
	}
	s.rouse(id)
	delete(s.wake, id)
	return nil
}

// Rotate gives an endpoint a new secret. The old one goes on signing beside it
// for a day.
func (s *Hooks) Rotate(id string) (secret string, err error) {
	one := newSecret()
	now := s.o.Now().UTC().Truncate(time.Second)
	return one.Key, s.change(id, func(h *Hook) error {
		kept := []Secret{one}
		for _, old := range h.Secrets {
			if old.Until.IsZero() {
				old.Until = now.Add(overlap)
			}
			if now.Before(old.Until) && len(kept) < maxSecrets {
				kept = append(kept, old)
			}
		}
		h.Secrets = kept
		return nil
	})
}

// Enable has an endpoint that was given up tried again, from where it stood or,
// with skip, from the end of the ledger.
func (s *Hooks) Enable(id string, skip bool) error {
	err := s.change(id, func(h *Hook) error {
		st := State{Cursor: h.State.Cursor, Delivered: h.State.Delivered, Missed: h.State.Missed, Last: h.State.Last}
		if skip {
			st.Cursor = s.o.End()
		}
		h.State = st
		return nil
	})
	if err == nil {
		s.mu.Lock()
		s.rouse(id)
		s.mu.Unlock()
	}
	return err
}

// rouse ends the wait of an endpoint's deliveries. s.mu is held.
func (s *Hooks) rouse(id string) {
	select {
	case s.wake[id] <- struct{}{}:
	default:
	}
}

// List is the endpoints as they stand, the oldest first.
func (s *Hooks) List() (all []*Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.all {
		all = append(all, h.copy())
	}
	return all
}

// Test sends an endpoint an event of the type test, at once and whatever its
// state is.
func (s *Hooks) Test(ctx context.Context, id string) (Result, error) {
	s.mu.Lock()
	h := s.find(id)
	if h == nil {
		s.mu.Unlock()
		return Result{}, ErrUnknown
	}
	h = h.copy()
	s.mu.Unlock()
	now, chance := s.o.Now(), make([]byte, 16)
	_, _ = rand.Read(chance) // never fails
	m := Message{ID: "test_" + hex.EncodeToString(chance), Type: "test", At: now, Data: map[string]string{"webhook": h.ID, "name": h.Name}}
	return s.client.send(ctx, h, &m, now), nil
}
