package console

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"dialgate/policy"
)

// imports works uploaded files off, one at a time and behind the calls. An
// upload lies in a directory of its own under a name of ours; what it is called
// is shown, never opened.
type imports struct {
	dir  string
	node Facts
	now  func() time.Time

	mu     sync.Mutex
	jobs   []*importJob
	kept   []*importJob // whose file is still there, the oldest first
	queue  chan *importJob
	cancel context.CancelFunc
	ended  chan struct{}
}

const (
	maxUpload = 512 << 20
	maxJobs   = 50 // that are told of
	maxQueue  = 8  // that wait
	maxKept   = 4  // files that are kept for a mapping, or after a dry run
)

// An importJob is one import.
type importJob struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	By      string       `json:"by"`
	DryRun  bool         `json:"dry_run"`
	State   string       `json:"state" jsonschema:"mapping (nobody said yet how it is read), waiting, running, done or failed"`
	Began   time.Time    `json:"began"`
	Ended   time.Time    `json:"ended,omitzero"`
	Octets  int64        `json:"octets"`
	Read    int64        `json:"read" jsonschema:"octets that were worked off"`
	Report  ImportReport `json:"report"`
	Error   string       `json:"error,omitempty"`
	Kept    bool         `json:"kept,omitempty" jsonschema:"the file is still here, and can be imported without being sent again"`
	Undo    *Undone      `json:"undo,omitempty" jsonschema:"of an undo: what it did, or of a dry run would do"`
	options ImportOptions
	undo    *UndoOptions // nil: it is an import
}

func (j *importJob) over() bool { return j.State == "done" || j.State == "failed" }

// newImports clears away what an earlier run left, and begins.
func newImports(dir string, node Facts, now func() time.Time) (*imports, error) {
	dir = filepath.Join(dir, "uploads")
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("uploads have no place: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &imports{dir: dir, node: node, now: now, queue: make(chan *importJob, maxQueue), cancel: cancel, ended: make(chan struct{})}
	go i.run(ctx)
	return i, nil
}

func (i *imports) close() error {
	i.cancel()
	<-i.ended
	return os.RemoveAll(i.dir)
}

func (i *imports) run(ctx context.Context) {
	defer close(i.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-i.queue:
			i.work(ctx, j)
		}
	}
}

func (i *imports) path(j *importJob) string    { return filepath.Join(i.dir, j.ID) }
func (i *imports) rejects(j *importJob) string { return i.path(j) + ".rejects" }

func (i *imports) change(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// work imports one file, and removes it unless it was a dry run; or undoes an import.
func (i *imports) work(ctx context.Context, j *importJob) {
	i.change(func() { j.State = "running" })
	var report ImportReport
	var undone *Undone
	var err error
	if j.undo != nil {
		var u Undone
		if u, err = i.node.Undo(ctx, *j.undo); u.Several {
			err = errSeveral
		}
		undone = &u
	} else {
		report, err = i.read(ctx, j)
	}
	i.change(func() {
		if j.undo == nil && (!j.DryRun || err != nil) {
			_ = os.Remove(i.path(j)) // the next start would
		} else if j.undo == nil {
			i.keep(j)
		}
		j.Report, j.Undo, j.Ended, j.State = report, undone, i.now(), "done"
		if err != nil {
			j.State, j.Error = "failed", strings.ReplaceAll(err.Error(), "\n", "; ")
		}
	})
}

func (i *imports) read(ctx context.Context, j *importJob) (ImportReport, error) {
	f, err := os.Open(i.path(j))
	if err != nil {
		return ImportReport{}, fmt.Errorf("the upload can't be read: %w", err)
	}
	defer f.Close()
	o := j.options
	o.Name, o.DryRun, o.Rejects = j.Name, j.DryRun, i.rejects(j)
	o.Progress = func(octets int64) { i.change(func() { j.Read = octets }) }
	return i.node.Import(ctx, o, f)
}

// keep keeps a job's file, and lets go of the oldest that is kept when there
// are too many. i.mu is held.
func (i *imports) keep(j *importJob) {
	j.Kept = true
	i.kept = append(i.kept, j)
	if len(i.kept) > maxKept {
		old := i.kept[0]
		i.letGo(old)
		if old.State == "mapping" {
			old.State, old.Error, old.Ended = "failed", "newer files took its place; send it again", i.now()
		}
	}
}

// letGo removes a file that was kept. i.mu is held.
func (i *imports) letGo(j *importJob) {
	_ = os.Remove(i.path(j)) // the next start would
	i.kept = slices.DeleteFunc(i.kept, func(k *importJob) bool { return k == j })
	j.Kept = false
}

func newJob(name, by, state string, now time.Time) *importJob {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return &importJob{ID: hex.EncodeToString(id), Name: cleanName(name), By: by, State: state, Began: now}
}

// enqueue lets a job wait for its turn. i.mu is held.
func (i *imports) enqueue(j *importJob) error {
	select {
	case i.queue <- j:
		j.State = "waiting"
		return nil
	default:
		return problem(http.StatusServiceUnavailable, fmt.Sprintf("%d imports wait already; try again when one is done", maxQueue))
	}
}

// note puts a job among those that are told of. i.mu is held.
func (i *imports) note(j *importJob) {
	i.jobs = append(i.jobs, j)
	if len(i.jobs) > maxJobs {
		if old := slices.IndexFunc(i.jobs, (*importJob).over); old >= 0 {
			i.letGo(i.jobs[old])
			_ = os.Remove(i.rejects(i.jobs[old]))
			i.jobs = slices.Delete(i.jobs, old, old+1)
		}
	}
}

var errSeveral = errors.New("the name was imported more than once, and nothing was undone; say which import is meant, or all")

// brought is the name and the time of what an import has brought in.
func (i *imports) brought(id string) (name string, from, to time.Time, err error) {
	j, err := i.find(id)
	switch {
	case err != nil:
		return name, from, to, &Invalid{"import", "there is none of this id any more; say batch, and from and to"}
	case j.undo != nil || j.DryRun || !j.over():
		return name, from, to, &Invalid{"import", "has brought nothing in: it is an undo, a dry run, or not done"}
	}
	return j.Name, j.Began, j.Ended, nil
}

// undo lets the undoing of an import wait for its turn.
func (i *imports) undo(by string, o UndoOptions) (importJob, error) {
	j := newJob(o.Batch, by, "waiting", i.now())
	j.DryRun, j.undo, j.Undo = o.DryRun, &o, &Undone{Batch: o.Batch}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.enqueue(j); err != nil {
		return importJob{}, err
	}
	i.note(j)
	return *j, nil
}

// run imports a file that was kept, as it is said now.
func (i *imports) again(id string, dry bool, o ImportOptions) (importJob, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.IndexFunc(i.jobs, func(j *importJob) bool { return j.ID == id })
	if at < 0 {
		return importJob{}, errNoImport
	}
	j := i.jobs[at]
	if !j.Kept {
		return importJob{}, problem(http.StatusConflict, "the file is not here any more; send it again")
	}
	if err := i.enqueue(j); err != nil {
		return importJob{}, err
	}
	i.kept = slices.DeleteFunc(i.kept, func(k *importJob) bool { return k == j })
	_ = os.Remove(i.rejects(j)) // of the run before
	j.Kept, j.DryRun, j.options, j.Report, j.Read, j.Error, j.Began, j.Ended = false, dry, o, ImportReport{}, 0, "", i.now(), time.Time{}
	return *j, nil
}

// open opens a file that was kept.
func (i *imports) open(id string) (*os.File, importJob, error) {
	j, err := i.find(id)
	if err != nil {
		return nil, j, err
	}
	if !j.Kept {
		return nil, j, problem(http.StatusConflict, "the file is not here any more; send it again")
	}
	f, err := os.Open(i.path(&j))
	return f, j, err
}

// add takes an upload in, and lets it wait for its turn or, to be mapped, for
// somebody to say how it is read.
func (i *imports) add(body io.Reader, name, by string, dry, mapping bool, o ImportOptions) (importJob, error) {
	j := newJob(name, by, "mapping", i.now())
	j.DryRun, j.options = dry, o
	f, err := os.OpenFile(i.path(j), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return importJob{}, fmt.Errorf("the upload can't be kept: %w", err)
	}
	j.Octets, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(i.path(j))
		return importJob{}, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if j.Octets == 0 {
		_ = os.Remove(i.path(j))
		return importJob{}, &Invalid{"file", "is empty"}
	}
	if mapping {
		i.keep(j)
	} else if err := i.enqueue(j); err != nil {
		_ = os.Remove(i.path(j))
		return importJob{}, err
	}
	i.note(j)
	return *j, nil
}

// cleanName is the last part of what an upload is called, as one short line.
func cleanName(name string) string {
	name = strings.ToValidUTF8(name, "")
	if at := strings.LastIndexAny(name, `/\`); at >= 0 {
		name = name[at+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, name)
	for utf8.RuneCountInString(name) > 100 {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	if name == "" || name == "." || name == ".." {
		return "upload"
	}
	return name
}

// list is the imports that are told of, the newest first.
func (i *imports) list() []importJob {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := []importJob{}
	for _, j := range slices.Backward(i.jobs) {
		out = append(out, *j)
	}
	return out
}

func (i *imports) find(id string) (importJob, error) {
	for _, j := range i.list() {
		if j.ID == id {
			return j, nil
		}
	}
	return importJob{}, errNoImport
}

var errNoImport = problem(http.StatusNotFound, "there is no such import any more")

// importOptions reads how a file is read from the query.
func (s *Server) importOptions(q *query) (o ImportOptions, dry bool) {
	o = ImportOptions{Constants: map[string]string{}}
	if name := q.text("mapping"); name != "" {
		m, err := s.mappings.find(name)
		if err != nil {
			q.fail("mapping", "there is none called %q", name)
		}
		o = m.options()
	}
	o.Dutch, o.Guess = o.Dutch || q.flag("dutch_dates"), q.flag("guess")
	dry = q.flag("dry_run")
	for name, values := range q.r.URL.Query() {
		if field, ok := strings.CutPrefix(name, "const."); ok {
			o.Constants[field] = values[0]
		}
		if column, ok := strings.CutPrefix(name, "column."); ok {
			if o.Columns == nil {
				o.Columns = map[string]string{}
			}
			o.Columns[column] = values[0]
		}
		if name == "ignore" {
			o.Ignore = values
		}
		if rest, ok := strings.CutPrefix(name, "value."); ok {
			field, text := valueName(rest)
			if field == "" {
				q.fail(name, "names no field of a fact: want value.FIELD.TEXT, such as value.preticked.Ja=true")
				continue
			}
			o.mean(field, text, values[0])
		}
	}
	return o, dry
}

// valueName splits FIELD.TEXT. Fields have dots in their names, and so have texts:
// the longest field counts.
func valueName(s string) (field, text string) {
	for _, f := range policy.FactFields() {
		if t, ok := strings.CutPrefix(s, f+"."); ok && len(f) > len(field) {
			field, text = f, t
		}
	}
	return field, text
}

// startImport takes a file in.
func (s *Server) startImport(c *call) error {
	q := &query{r: c.r}
	o, dry := s.importOptions(q)
	mapping := q.flag("keep")
	if err := q.err(); err != nil {
		return err
	}
	body, err := bounded(c.w, c.r, maxUpload)
	if err != nil {
		return err
	}
	j, err := s.imports.add(body, q.text("name"), c.who.Name, dry, mapping, o)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/v1/imports/"+j.ID)
	return c.json(http.StatusAccepted, j)
}

func (s *Server) listImports(c *call) error { return c.json(http.StatusOK, s.imports.list()) }

func (s *Server) oneImport(c *call) error {
	j, err := s.imports.find(c.r.PathValue("id"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, j)
}

func (s *Server) importRejects(c *call) error {
	return s.sendRejects(c.w, c.r.PathValue("id"))
}

// sendRejects sends the rows that were refused, as a file.
func (s *Server) sendRejects(w http.ResponseWriter, id string) error {
	j, err := s.imports.find(id)
	if err != nil {
		return err
	}
	f, err := os.Open(s.imports.rejects(&j))
	if errors.Is(err, os.ErrNotExist) || err == nil && !j.over() {
		if f != nil {
			f.Close()
		}
		return problem(http.StatusNotFound, "no row was rejected, or the import is not done yet")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", csvType+"; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="rejects-`+j.ID+`.csv"`)
	_, _ = io.Copy(w, f) // the client has gone
	return nil
}

// scrubTo judges a list. What is wrong with it is said before anything is sent.
func (s *Server) scrubTo(w http.ResponseWriter, in io.Reader, o ScrubOptions) error {
	out := &lateHeader{w: w}
	if _, err := s.o.Node.Scrub(o, in, out); err != nil {
		if out.begun {
			s.o.Log.Warn("a list was judged only in part", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
			panic(http.ErrAbortHandler) // the client sees that it is not whole
		}
		return err
	}
	return nil
}

// lateHeader sends the header with the first octet of the list.
type lateHeader struct {
	w     http.ResponseWriter
	begun bool
}

func (l *lateHeader) Write(p []byte) (int, error) {
	if !l.begun && len(p) > 0 {
		l.begun = true
		l.w.Header().Set("Content-Type", csvType+"; charset=utf-8")
		l.w.Header().Set("Content-Disposition", `attachment; filename="scrubbed.csv"`)
	}
	return l.w.Write(p)
}
