package access

import (
	"sync"
	"time"
)

// Sessions are the people who are logged in. They are in memory only: a
// restart logs everybody out.
type Sessions struct {
	keys *Keys

	mu  sync.Mutex
	all map[string]*Session // by the hash of the cookie
}

// A Session is one log-in.
type Session struct {
	name  string
	began time.Time
	seen  time.Time

	mu   sync.Mutex
	bag  map[string]any
	kept []string // keys of the bag, the oldest first
}

const (
	sessionIdle = 30 * time.Minute
	sessionLong = 12 * time.Hour
	maxSessions = 1000
	maxBag      = 200
)

// NewSessions makes Sessions.
func NewSessions(k *Keys) *Sessions { return &Sessions{keys: k, all: map[string]*Session{}} }

// Begin logs somebody in and returns the secret for their cookie.
func (s *Sessions) Begin(who *Principal, now time.Time) string {
	secret, hash := newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSessions {
		s.endOldest(now)
	}
	s.all[hash] = &Session{name: who.Name, began: now, seen: now, bag: map[string]any{}}
	return secret
}

func (s *Sessions) endOldest(now time.Time) {
	oldest := ""
	for hash, one := range s.all {
		if one.over(now) {
			delete(s.all, hash)
		} else if oldest == "" || one.seen.Before(s.all[oldest].seen) {
			oldest = hash
		}
	}
	if len(s.all) >= maxSessions {
		delete(s.all, oldest)
	}
}

func (s *Session) over(now time.Time) bool {
	return now.Sub(s.seen) > sessionIdle || now.Sub(s.began) > sessionLong
}

// Of is the session of a cookie and whose it is, nil if there is none any more.
// What somebody may do is looked up anew each time.
func (s *Sessions) Of(secret string, now time.Time) (*Session, *Principal) {
	hash := hashSecret(secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[hash]
	if one == nil {
		return nil, nil
	}
	who, err := s.keys.person(one.name)
	if err != nil || one.over(now) {
		delete(s.all, hash)
		return nil, nil
	}
	one.seen = now
	return one, who
}

// End logs out.
func (s *Sessions) End(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, hashSecret(secret))
}

// EndAll logs somebody out everywhere, as when their password was changed.
func (s *Sessions) EndAll(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, one := range s.all {
		if one.name == name {
			delete(s.all, hash)
		}
	}
}

// Keep puts something into the session, which the oldest thing leaves when it
// is full: a page can show it without its standing in an address.
func (s *Session) Keep(key string, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.bag[key]; !there {
		s.kept = append(s.kept, key)
		if len(s.kept) > maxBag {
			delete(s.bag, s.kept[0])
			s.kept = s.kept[1:]
		}
	}
	s.bag[key] = v
}

// Kept is what was put into the session under a key, nil when it is not there.
func (s *Session) Kept(key string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bag[key]
}

// Take is Kept, and takes it out.
func (s *Session) Take(key string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.bag[key]
	if _, there := s.bag[key]; there {
		s.bag[key] = nil
	}
	return v
}
