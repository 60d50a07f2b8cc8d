package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

// A stream tells listeners of new decisions. It reads the ledger behind the
// calls, only while somebody listens, so that no call waits for a listener. A
// listener who can't keep up misses calls, and is told how many.
type stream struct {
	node Calls

	mu        sync.Mutex
	listeners map[*listener]bool
	running   bool
	closed    chan struct{}
	once      sync.Once
}

type listener struct {
	calls  chan Call
	missed int
}

const (
	streamBeat    = 250 * time.Millisecond
	streamAtOnce  = 500 // calls that are told of in one beat; the rest was missed
	listenerQueue = 1000
	maxListeners  = 100
	heartbeat     = 15 * time.Second
)

func newStream(node Calls) *stream {
	return &stream{node: node, listeners: map[*listener]bool{}, closed: make(chan struct{})}
}

// listen begins to listen, or nil when too many do.
func (s *stream) listen() *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) >= maxListeners {
		return nil
	}
	l := &listener{calls: make(chan Call, listenerQueue)}
	s.listeners[l] = true
	if !s.running {
		s.running = true
		go s.run(s.node.LedgerEnd())
	}
	return l
}

func (s *stream) leave(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *stream) close() { s.once.Do(func() { close(s.closed) }) }

// run tells of what comes after a record until nobody listens.
func (s *stream) run(last uint64) {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-beat.C:
		}
		s.mu.Lock()
		if len(s.listeners) == 0 {
			s.running = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		last = s.tell(last)
	}
}

// tell tells of the decisions after a record, and returns the last one seen.
func (s *stream) tell(last uint64) uint64 {
	end := s.node.LedgerEnd()
	if end <= last {
		return last
	}
	page, err := s.node.Search(Search{Before: end + 1, Most: int(min(end-last, streamAtOnce))})
	if err != nil {
		return last // it is asked for again
	}
	more := len(page.Calls) == streamAtOnce && page.Calls[streamAtOnce-1].Seq > last+1
	missed := 0
	if more {
		missed = int(page.Calls[streamAtOnce-1].Seq - last - 1) // records, calls among them
	}
	page.Calls = slices.DeleteFunc(page.Calls, func(c Call) bool { return c.Seq <= last })
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		l.missed += missed
		for _, c := range slices.Backward(page.Calls) {
			select {
			case l.calls <- c:
			default:
				l.missed++
			}
		}
	}
	return end
}

// fits reports whether a new call is one that was asked for.
func (q *Search) fits(c *Call) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	reason := c.Reason
	if q.Public {
		reason = policy.Told(reason, c.Mode)
	}
	return is(q.Verdict, c.Verdict) && is(q.Rule, c.Rule) && is(q.Reason, reason) && is(q.Peer, c.Peer) && is(q.Campaign, c.Campaign) && is(q.Advertiser, c.Advertiser)
}

// follow sends new decisions as server-sent events (HTML standard, 9.2).
func (s *Server) follow(w http.ResponseWriter, r *http.Request, who *access.Principal, search Search) error {
	return s.events(w, r, search, func(c Call) (string, error) {
		data, err := json.Marshal(show(c, who, false))
		return string(data), err
	})
}

// events sends each new call that fits as one event. data makes its one line.
func (s *Server) events(w http.ResponseWriter, r *http.Request, search Search, data func(Call) (string, error)) error {
	l := s.stream.listen()
	if l == nil {
		return problem(http.StatusServiceUnavailable, fmt.Sprintf("%d streams are open already, which is the most", maxListeners))
	}
	defer s.stream.leave(l)
	w.Header().Set("Content-Type", eventType)
	control := http.NewResponseController(w)
	if _, err := fmt.Fprint(w, "retry: 2000\n\n"); err != nil {
		return nil // the client has gone
	}
	_ = control.Flush()
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		var event string
		select {
		case <-r.Context().Done():
			return nil
		case <-s.stream.closed:
			return nil
		case <-alive.C:
			event = ": alive\n\n"
		case c := <-l.calls:
			if !search.fits(&c) {
				continue
			}
			line, err := data(c)
			if err != nil {
				return nil
			}
			event = "id: " + strconv.FormatUint(c.Seq, 10) + "\nevent: decision\ndata: " + line + "\n\n"
		}
		s.stream.mu.Lock()
		missed := l.missed
		l.missed = 0
		s.stream.mu.Unlock()
		if missed > 0 {
			event = fmt.Sprintf("event: missed\ndata: %d\n\n", missed) + event
		}
		if _, err := fmt.Fprint(w, event); err != nil {
			return nil
		}
		_ = control.Flush()
	}
}
