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
	queue  chan *importJob
	cancel context.CancelFunc
	ended  chan struct{}
}

const (
	maxUpload = 512 << 20
	maxJobs   = 50 // that are told of
	maxQueue  = 8  // that wait
)

// An importJob is one import.
type importJob struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	By      string       `json:"by"`
	DryRun  bool         `json:"dry_run"`
	State   string       `json:"state" jsonschema:"waiting, running, done or failed"`
	Began   time.Time    `json:"began"`
	Ended   time.Time    `json:"ended,omitzero"`
	Octets  int64        `json:"octets"`
	Read    int64        `json:"read" jsonschema:"octets that were worked off"`
	Report  ImportReport `json:"report"`
	Error   string       `json:"error,omitempty"`
	options ImportOptions
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

// work imports one file, and removes it.
func (i *imports) work(ctx context.Context, j *importJob) {
	i.change(func() { j.State = "running" })
	report, err := i.read(ctx, j)
	_ = os.Remove(i.path(j)) // the next start would
	i.change(func() {
		j.Report, j.Ended, j.State = report, i.now(), "done"
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

// add takes an upload in and lets it wait for its turn.
func (i *imports) add(body io.Reader, name, by string, dry bool, o ImportOptions) (importJob, error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	j := &importJob{ID: hex.EncodeToString(id), Name: cleanName(name), By: by, DryRun: dry, State: "waiting", Began: i.now(), options: o}
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
	select {
	case i.queue <- j:
	default:
		_ = os.Remove(i.path(j))
		return importJob{}, problem(http.StatusServiceUnavailable, fmt.Sprintf("%d imports wait already; try again when one is done", maxQueue))
	}
	i.jobs = append(i.jobs, j)
	if len(i.jobs) > maxJobs {
		if old := slices.IndexFunc(i.jobs, (*importJob).over); old >= 0 {
			_ = os.Remove(i.rejects(i.jobs[old]))
			i.jobs = slices.Delete(i.jobs, old, old+1)
		}
	}
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
	return importJob{}, problem(http.StatusNotFound, "there is no such import any more")
}

// startImport takes a file in.
func (s *Server) startImport(c *call) error {
	q := &query{r: c.r}
	o := ImportOptions{Constants: map[string]string{}, Dutch: q.flag("dutch_dates")}
	dry := q.flag("dry_run")
	for name, values := range c.r.URL.Query() {
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
	}
	if err := q.err(); err != nil {
		return err
	}
	body, err := bounded(c.w, c.r, maxUpload)
	if err != nil {
		return err
	}
	j, err := s.imports.add(body, q.text("name"), c.who.Name, dry, o)
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
