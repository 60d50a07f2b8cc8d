package console

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"dialgate/console/access"
	"dialgate/policy"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// pages are the templates, each with the frame around it.
type pages struct{ byName map[string]*template.Template }

func loadPages() (*pages, error) {
	p := &pages{byName: map[string]*template.Template{}}
	frame, err := template.New("").ParseFS(templateFiles, "templates/frame.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, err
		}
		p.byName[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return p, nil
}

// A view is one page under way.
type view struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	session *access.Session // nil: nobody is logged in
	who     *access.Principal
	Lang    string
	Theme   string

	Name   string // of the page
	Title  string
	Notice string // what has just been done
	Wrong  []string
	Data   any
}

// Who is who is logged in.
func (v *view) Who() *access.Principal { return v.who }

// May reports whether whoever is logged in has a right.
func (v *view) May(right string) bool {
	return v.who != nil && v.who.May(rightNames[right])
}

var rightNames = map[string]access.Right{"calls": access.SeeCalls, "state": access.SeeState, "numbers": access.SeeNumbers,
	"proof": access.SeeProof, "change": access.Change, "admin": access.Administer}

// Place is where the times of the pages are those of.
func (v *view) Place() string { return v.s.o.Node.Zone().String() }

// T is a text of ours in the reader's language. The English is the key.
func (v *view) T(text string, args ...any) string {
	if v.Lang == "nl" {
		if dutch, ok := dutch[text]; ok {
			text = dutch
		}
	}
	if len(args) > 0 {
		return fmt.Sprintf(text, args...)
	}
	return text
}

// Time is an instant as people where the called live write it.
func (v *view) Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(v.s.o.Node.Zone()).Format("2006-01-02 15:04:05")
}

// Minute is Time without its seconds.
func (v *view) Minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(v.s.o.Node.Zone()).Format("2006-01-02 15:04")
}

// A said verdict is one in the reader's language.
type said struct{ Name, Text string }

// Verdict is a verdict as the reader says it.
func (v *view) Verdict(name string) said {
	if text, ok := dutchVerdicts[name]; ok && v.Lang == "nl" {
		return said{name, text}
	}
	return said{name, name}
}

// Reason is what a reason means.
func (v *view) Reason(name string) string {
	if v.Lang == "nl" {
		if text, ok := dutchReasons[name]; ok {
			return text
		}
	}
	reason, _ := policy.ParseReason(name)
	return reason.Text()
}

// Nav is the pages that somebody may open, in order.
func (v *view) Nav() (links []navLink) {
	for _, l := range nav {
		if v.who != nil && l.open(v.who) {
			l.Current = l.Name == v.Name
			links = append(links, l)
		}
	}
	return links
}

// Opens reports whether somebody may open a page.
func (v *view) Opens(name string) bool {
	return slices.ContainsFunc(v.Nav(), func(l navLink) bool { return l.Name == name })
}

type navLink struct {
	Name, Path, Text string
	Current          bool
	door
}

var nav = []navLink{
	{Name: "now", Path: "/", Text: "Now", door: door{access.SeeState, true}},
	{Name: "calls", Path: "/calls", Text: "Calls", door: door{access.SeeCalls, false}},
	{Name: "numbers", Path: "/numbers", Text: "Numbers", door: door{access.SeeNumbers, false}},
	{Name: "try", Path: "/try", Text: "Try a call", door: door{access.SeeNumbers | access.SeeState, true}},
	{Name: "rules", Path: "/rules", Text: "Rules", door: door{access.SeeState, true}},
	{Name: "imports", Path: "/imports", Text: "Imports", door: door{access.Change, true}},
	{Name: "scrub", Path: "/scrub", Text: "Scrub", door: door{access.SeeNumbers | access.SeeState, true}},
	{Name: "proofs", Path: "/proofs", Text: "Proofs", door: door{access.OwnProof, false}},
	{Name: "settings", Path: "/settings", Text: "Settings", door: door{access.SeeCalls, false}},
}

// Here is the address of the page, to come back to.
func (v *view) Here() string {
	if v.r.Method != http.MethodGet {
		return "/"
	}
	return v.r.URL.RequestURI()
}

// show answers with a page.
func (v *view) show(status int, name, title string, data any) error {
	v.Title, v.Data = title, data
	if v.Name == "" {
		v.Name = name
	}
	return v.render(status, name, "frame")
}

func (v *view) render(status int, name, part string) error {
	var b bytes.Buffer
	v.s.computing.Lock()
	err := v.s.pages.byName[name].ExecuteTemplate(&b, part, v)
	v.s.computing.Unlock()
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the client has gone
	return nil
}

// away goes to another page by GET.
func (v *view) away(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// tell has the next page of the session say what was done.
func (v *view) tell(text string, args ...any) { v.session.Keep("notice", v.T(text, args...)) }

// wrong lists what is wrong with what was sent, or gives the error back.
func (v *view) wrong(err error) error {
	p := v.s.problemOf(err)
	if p.Status >= 500 {
		return err
	}
	for _, e := range p.Errors {
		v.Wrong = append(v.Wrong, e.Error())
	}
	if len(p.Errors) == 0 {
		v.Wrong = append(v.Wrong, p.Detail)
	}
	return nil
}

// cookieName carries the prefix by which browsers keep other hosts from setting it.
func (s *Server) cookieName() string {
	if s.o.Secure {
		return "__Host-dialgate"
	}
	return "dialgate"
}

func (s *Server) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(), Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.o.Secure, SameSite: http.SameSiteStrictMode}
}

// session is the session of a request and whose it is, nil when nobody is logged in.
func (s *Server) session(r *http.Request) (*access.Session, *access.Principal) {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil, nil
	}
	return s.sessions.Of(c.Value, s.o.Now())
}

// newView reads the reader's language and theme.
func (s *Server) newView(w http.ResponseWriter, r *http.Request) *view {
	v := &view{s: s, w: w, r: r, Lang: language(r), Theme: "auto"}
	v.session, v.who = s.session(r)
	if c, err := r.Cookie("theme"); err == nil && slices.Contains(themes, c.Value) {
		v.Theme = c.Value
	}
	return v
}

var themes = []string{"auto", "light", "dark"}

// language is the one chosen, or else the first that the browser names and we have.
func language(r *http.Request) string {
	if c, err := r.Cookie("language"); err == nil && (c.Value == "nl" || c.Value == "en") {
		return c.Value
	}
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		switch tag := strings.ToLower(strings.TrimSpace(part)); {
		case strings.HasPrefix(tag, "nl"):
			return "nl"
		case strings.HasPrefix(tag, "en"):
			return "en"
		}
	}
	return "en"
}

const maxForm = 1 << 20

// handlePages puts the pages in place. None of them takes a form from a page of
// somebody else.
func (s *Server) handlePages(mux *http.ServeMux) {
	own := http.NewServeMux()
	assets, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	files := http.FileServerFS(assets)
	own.HandleFunc("GET /assets/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		r = r.Clone(r.Context())
		r.URL.Path = "/" + r.PathValue("name")
		files.ServeHTTP(w, r)
	})
	open := func(pattern string, f func(*view) error) {
		own.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.servePage(s.newView(w, r), f) })
	}
	open("GET /login", (*view).logIn)
	open("POST /login", (*view).logInDone)
	open("POST /logout", (*view).logOut)
	open("GET /setup", (*view).setUp)
	open("POST /setup", (*view).setUpDone)
	open("POST /look", (*view).look)
	for pattern, p := range pageTable {
		open(pattern, func(v *view) error {
			if v.session == nil {
				return v.toLogIn()
			}
			if !p.open(v.who) {
				if pattern == "GET /{$}" {
					return v.away("/calls") // the first page that there is
				}
				return problem(http.StatusForbidden, v.T("Your role may not do this."))
			}
			if notice, ok := v.session.Take("notice").(string); ok && v.r.Method == http.MethodGet {
				v.Notice = notice
			}
			return p.serve(v)
		})
	}
	own.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.servePage(s.newView(w, r), func(v *view) error { return problem(http.StatusNotFound, v.T("There is no such page.")) })
	})
	mux.Handle("/", http.NewCrossOriginProtection().Handler(own))
}

// A page is one page or form with the right it needs.
type page struct {
	door
	serve func(*view) error
}

var pageTable map[string]page

func init() { // the pages speak of the table by way of the frame
	see := func(r access.Right, f func(*view) error) page { return page{door{r, false}, f} }
	whole := func(r access.Right, f func(*view) error) page { return page{door{r, true}, f} }
	pageTable = map[string]page{
		"GET /{$}":                         whole(access.SeeState, (*view).now),
		"GET /now":                         whole(access.SeeState, (*view).nowPart),
		"GET /calls":                       see(access.SeeCalls, (*view).calls),
		"GET /calls/{seq}":                 see(access.SeeCalls, (*view).oneCall),
		"POST /calls/{seq}/number":         see(access.SeeNumbers, (*view).callToNumber),
		"GET /numbers":                     see(access.SeeNumbers, (*view).numbers),
		"POST /numbers":                    see(access.SeeNumbers, (*view).findNumber),
		"GET /numbers/{handle}":            see(access.SeeNumbers, (*view).oneNumber),
		"POST /numbers/{handle}/objection": see(access.SeeNumbers|access.Change, (*view).numberObjection),
		"POST /numbers/{handle}/fact":      see(access.SeeNumbers|access.Change, (*view).numberFact),
		"POST /numbers/{handle}/proof":     whole(access.SeeProof, (*view).numberProof),
		"POST /numbers/{handle}/erase":     whole(access.Administer, (*view).numberErase),
		"GET /try":                         whole(access.SeeNumbers|access.SeeState, (*view).try),
		"POST /try":                        whole(access.SeeNumbers|access.SeeState, (*view).tryDone),
		"GET /rules":                       whole(access.SeeState, (*view).rules),
		"GET /imports":                     whole(access.Change, (*view).imports),
		"POST /imports":                    whole(access.Change, (*view).startImport),
		"GET /imports/{id}":                whole(access.Change, (*view).oneImport),
		"GET /imports/{id}/rejects":        whole(access.Change, (*view).rejects),
		"GET /imports/{id}/mapping":        whole(access.Change, (*view).importMapping),
		"POST /imports/{id}/mapping":       whole(access.Change, (*view).importMapped),
		"POST /imports/{id}/run":           whole(access.Change, (*view).runKept),
		"POST /imports/undo":               whole(access.Change, (*view).undoImport),
		"POST /imports/template":           whole(access.Change, (*view).dropTemplate),
		"GET /scrub":                       whole(access.SeeNumbers|access.SeeState, (*view).scrub),
		"POST /scrub":                      whole(access.SeeNumbers|access.SeeState, (*view).scrubDone),
		"GET /proofs":                      see(access.OwnProof, (*view).proofs),
		"POST /proofs":                     see(access.OwnProof, (*view).makeProof),
		"GET /proofs/checkpoint":           whole(access.SeeProof, (*view).checkpoint),
		"GET /settings":                    see(access.SeeCalls, (*view).settings),
		"POST /settings/password":          see(access.SeeCalls, (*view).ownPassword),
		"POST /settings/token":             whole(access.Administer, (*view).makeToken),
		"POST /settings/revoke":            whole(access.Administer, (*view).revokeToken),
		"POST /settings/person":            whole(access.Administer, (*view).makePerson),
		"POST /settings/remove":            whole(access.Administer, (*view).removePerson),
		"POST /settings/reload":            whole(access.Administer, (*view).reloadConfig),
		"GET /settings/webhooks":           whole(access.Administer, (*view).hooks),
		"POST /settings/webhooks":          whole(access.Administer, (*view).makeHook),
		"POST /settings/webhooks/{id}":     whole(access.Administer, (*view).changeHook),
	}
}

// servePage answers with a page, or with the page that says what is wrong.
func (s *Server) servePage(v *view, f func(*view) error) {
	if v.r.Method == http.MethodPost && !strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/") {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	}
	err := f(v)
	if err == nil {
		return
	}
	p := s.problemOf(err)
	var wait *waitError
	if errors.As(err, &wait) {
		v.w.Header().Set("Retry-After", fmt.Sprint(int(wait.wait.Seconds())+1))
	}
	v.Name = "problem"
	if err := v.show(p.Status, "problem", v.T("This did not work"), p); err != nil {
		s.o.Log.Error("a page could not be made", "error", err)
		http.Error(v.w, "the page could not be made; the log says why", http.StatusInternalServerError)
	}
}

// toLogIn sends somebody to the log-in, and back afterwards.
func (v *view) toLogIn() error {
	to := "/login"
	v.s.mu.Lock()
	setUp := v.s.setUpOpen()
	v.s.mu.Unlock()
	if setUp {
		to = "/setup"
	} else if v.r.Method == http.MethodGet && v.r.URL.Path != "/" {
		to += "?" + url.Values{"to": {v.r.URL.RequestURI()}}.Encode()
	}
	return v.away(to)
}

// back is a page of ours to go back to, "/" for any other address.
func back(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}
