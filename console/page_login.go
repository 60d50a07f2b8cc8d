package console

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"

	"dialgate/console/access"
)

type logInData struct{ To, Person string }

func (v *view) logIn() error {
	if v.session != nil {
		return v.away("/")
	}
	return v.show(http.StatusOK, "login", v.T("Log in"), logInData{To: back(v.r.URL.Query().Get("to"))})
}

func (v *view) logInDone() error {
	s, now := v.s, v.s.o.Now()
	name, address := v.r.PostFormValue("name"), remote(v.r)
	if wait := s.throttle.Try(address, name, now); wait > 0 {
		return tooMany(wait)
	}
	who, err := s.o.Keys.Password(name, v.r.PostFormValue("password"))
	if errors.Is(err, access.ErrUnknown) {
		s.o.Log.Warn("a log-in failed", "from", address)
		v.Wrong = []string{v.T("This name and this password do not go together.")}
		return v.show(http.StatusUnauthorized, "login", v.T("Log in"), logInData{back(v.r.PostFormValue("to")), name})
	}
	if err != nil {
		return err
	}
	s.throttle.Worked(address, name)
	http.SetCookie(v.w, s.cookie(s.sessions.Begin(who, now), 0))
	return v.away(back(v.r.PostFormValue("to")))
}

func (v *view) logOut() error {
	if c, err := v.r.Cookie(v.s.cookieName()); err == nil {
		v.s.sessions.End(c.Value)
	}
	http.SetCookie(v.w, v.s.cookie("", -1))
	return v.away("/login")
}

// setUpOpen reports whether nobody can log in yet. Whoever is added by a command
// meanwhile closes the set-up.
func (s *Server) setUpOpen() bool {
	if s.setUp == "" {
		return false
	}
	people, err := s.o.Keys.People()
	return err == nil && len(people) == 0
}

func (v *view) setUp() error {
	v.s.mu.Lock()
	open := v.s.setUpOpen()
	v.s.mu.Unlock()
	if !open {
		return v.away("/login")
	}
	return v.show(http.StatusOK, "setup", v.T("Set up"), nil)
}

// setUpDone makes the first person, who has to know the secret that the node
// has printed. It works once.
func (v *view) setUpDone() error {
	s, now, address := v.s, v.s.o.Now(), remote(v.r)
	if wait := s.throttle.Try(address, "", now); wait > 0 {
		return tooMany(wait)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.setUpOpen() {
		return v.away("/login")
	}
	if subtle.ConstantTimeCompare([]byte(v.r.PostFormValue("secret")), []byte(s.setUp)) != 1 {
		v.Wrong = []string{v.T("This is not the secret that the node has printed.")}
		return v.show(http.StatusUnauthorized, "setup", v.T("Set up"), nil)
	}
	s.throttle.Worked(address, "")
	p := access.Person{Name: v.r.PostFormValue("name"), Role: access.Admin}
	if err := s.o.Keys.SetPerson(p, v.r.PostFormValue("password"), now); err != nil {
		v.Wrong = lines(err)
		return v.show(http.StatusUnprocessableEntity, "setup", v.T("Set up"), nil)
	}
	s.setUp = ""
	http.SetCookie(v.w, s.cookie(s.sessions.Begin(&access.Principal{Name: p.Name, Role: p.Role}, now), 0))
	return v.away("/")
}

// look sets the reader's language or theme.
func (v *view) look() error {
	for name, allowed := range map[string][]string{"language": {"nl", "en"}, "theme": themes} {
		if value := v.r.PostFormValue(name); slices.Contains(allowed, value) {
			http.SetCookie(v.w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: 400 * 24 * 3600, HttpOnly: true, Secure: v.s.o.Secure, SameSite: http.SameSiteLaxMode})
		}
	}
	return v.away(back(v.r.PostFormValue("to")))
}
