package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"dialgate/console/access"
	"dialgate/policy"
)

// A mapping is one way of reading somebody else's files, by its name.
type mapping struct {
	Name      string                       `json:"name"`
	Columns   map[string]string            `json:"columns" jsonschema:"field by column"`
	Ignore    []string                     `json:"ignore,omitempty" jsonschema:"columns that are not read; * for all others"`
	Constants map[string]string            `json:"constants,omitempty" jsonschema:"fields that every row has"`
	Values    map[string]map[string]string `json:"values,omitempty" jsonschema:"what texts mean: field, text in the file, text of the field; such as preticked, Ja, true"`
	Dutch     bool                         `json:"dutch_dates,omitempty" jsonschema:"dates are day-month-year"`
}

func (m *mapping) options() ImportOptions {
	return ImportOptions{Columns: maps.Clone(m.Columns), Ignore: slices.Clone(m.Ignore), Constants: maps.Clone(m.Constants), Values: cloneValues(m.Values), Dutch: m.Dutch}
}

func cloneValues(values map[string]map[string]string) map[string]map[string]string {
	out := maps.Clone(values)
	for field, texts := range out {
		out[field] = maps.Clone(texts)
	}
	return out
}

// mean has a text of a field be read as another.
func (o *ImportOptions) mean(field, text, as string) {
	if o.Values == nil {
		o.Values = map[string]map[string]string{}
	}
	if o.Values[field] == nil {
		o.Values[field] = map[string]string{}
	}
	o.Values[field][text] = as
}

func mappingOf(name string, o *ImportOptions) mapping {
	return mapping{Name: name, Columns: o.Columns, Ignore: o.Ignore, Constants: o.Constants, Values: o.Values, Dutch: o.Dutch}
}

// check tells what is wrong with a mapping.
func (m *mapping) check() error {
	var errs []error
	if err := access.CheckName(m.Name); err != nil {
		errs = append(errs, &Invalid{"name", err.Error()})
	}
	known := policy.FactFields()
	for _, column := range slices.Sorted(maps.Keys(m.Columns)) {
		if !slices.Contains(known, m.Columns[column]) {
			errs = append(errs, &Invalid{"columns." + column, fmt.Sprintf("%q is no field of a fact", m.Columns[column])})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(m.Constants)) {
		if !slices.Contains(known, field) {
			errs = append(errs, &Invalid{"constants." + field, "is no field of a fact"})
		}
	}
	count := len(m.Columns) + len(m.Constants) + len(m.Ignore)
	for _, field := range slices.Sorted(maps.Keys(m.Values)) {
		count += len(m.Values[field])
		if !slices.Contains(known, field) {
			errs = append(errs, &Invalid{"values." + field, "is no field of a fact"})
		}
	}
	if count > maxMapped {
		errs = append(errs, &Invalid{"columns", fmt.Sprintf("are too many, at most %d", maxMapped)})
	}
	return errors.Join(errs...)
}

// mappings are kept in one file in the node's directory.
type mappings struct {
	path string

	mu  sync.Mutex
	all []mapping
}

const (
	mappingsFile = "mappings.json"
	maxMappings  = 100
	maxMapped    = 500 // columns, constants, texts and columns that are left out
)

func openMappings(dir string) (*mappings, error) {
	m := &mappings{path: filepath.Join(dir, mappingsFile)}
	data, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &m.all)
	}
	if err != nil {
		return nil, fmt.Errorf("the mappings of imports can't be read: %w; remove %s and name them anew", err, m.path)
	}
	return m, nil
}

func (m *mappings) list() []mapping {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]mapping{}, m.all...)
}

func (m *mappings) find(name string) (mapping, error) {
	for _, one := range m.list() {
		if one.Name == name {
			return one, nil
		}
	}
	return mapping{}, problem(http.StatusNotFound, "there is no such mapping")
}

// change puts another list in the place of the one there is.
func (m *mappings) change(f func([]mapping) ([]mapping, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := f(slices.Clone(m.all))
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	next := m.path + ".new"
	if err = os.WriteFile(next, append(data, '\n'), 0o600); err == nil {
		err = os.Rename(next, m.path)
	}
	if err != nil {
		return fmt.Errorf("the mappings of imports can't be written: %w", err)
	}
	m.all = all
	return nil
}

// put keeps a mapping under its name, in the place of one that has it.
func (m *mappings) put(one mapping) error {
	if err := one.check(); err != nil {
		return err
	}
	return m.change(func(all []mapping) ([]mapping, error) {
		all = slices.DeleteFunc(all, func(have mapping) bool { return have.Name == one.Name })
		if len(all) >= maxMappings {
			return nil, &Invalid{"name", fmt.Sprintf("there are %d mappings already; remove some", maxMappings)}
		}
		return append(all, one), nil
	})
}

func (m *mappings) remove(name string) error {
	return m.change(func(all []mapping) ([]mapping, error) {
		n := len(all)
		all = slices.DeleteFunc(all, func(have mapping) bool { return have.Name == name })
		if len(all) == n {
			return nil, problem(http.StatusNotFound, "there is no such mapping")
		}
		return all, nil
	})
}

func (s *Server) listMappings(c *call) error { return c.json(http.StatusOK, s.mappings.list()) }

func (s *Server) putMapping(c *call) error {
	var m mapping
	if err := c.read(&m); err != nil {
		return err
	}
	if m.Name == "" {
		m.Name = c.r.PathValue("name")
	}
	if m.Name != c.r.PathValue("name") {
		return &Invalid{"name", "is another than in the address"}
	}
	if err := s.mappings.put(m); err != nil {
		return err
	}
	return c.json(http.StatusOK, m)
}

func (s *Server) removeMapping(c *call) error {
	if err := s.mappings.remove(c.r.PathValue("name")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

const previewRows = 10

func (s *Server) previewImport(c *call) error {
	q := &query{r: c.r}
	o, _ := s.importOptions(q)
	if err := q.err(); err != nil {
		return err
	}
	p, err := s.preview(c.r, c.r.PathValue("id"), o)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, p)
}

// preview reads the first rows of a file that is kept.
func (s *Server) preview(r *http.Request, id string, o ImportOptions) (Preview, error) {
	f, j, err := s.imports.open(id)
	if err != nil {
		return Preview{}, err
	}
	defer f.Close()
	o.Name = j.Name
	p, err := s.o.Node.Preview(r.Context(), o, f, previewRows)
	for i := range p.Rows {
		row := &p.Rows[i]
		if row.Errors = invalidities(row.Fault); row.Fault != nil && row.Errors == nil {
			row.Errors = []*Invalid{{Text: row.Fault.Error()}}
		}
	}
	return p, err
}

func (s *Server) runImport(c *call) error {
	q := &query{r: c.r}
	o, dry := s.importOptions(q)
	if err := q.err(); err != nil {
		return err
	}
	j, err := s.imports.again(c.r.PathValue("id"), dry, o)
	if err != nil {
		return err
	}
	return c.json(http.StatusAccepted, j)
}

func (s *Server) undoImport(c *call) error {
	var ask UndoOptions
	if err := c.read(&ask); err != nil {
		return err
	}
	j, err := s.undo(c.who, ask)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/v1/imports/"+j.ID)
	return c.json(http.StatusAccepted, j)
}

// undo lets an undo wait for its turn, if it may be had.
func (s *Server) undo(who *access.Principal, o UndoOptions) (importJob, error) {
	var errs []error
	switch {
	case o.Import != "" && (o.Batch != "" || !o.From.IsZero() || !o.To.IsZero() || o.All):
		errs = append(errs, &Invalid{"import", "says it all: leave batch, from, to and all out"})
	case o.Import != "":
		var err error
		if o.Batch, o.From, o.To, err = s.imports.brought(o.Import); err != nil {
			errs = append(errs, err)
		}
	case o.Batch == "" || len(o.Batch) > maxWords:
		errs = append(errs, &Invalid{"batch", "say which import: what the file was called, as dialgate facts list shows it"})
	}
	if !o.To.IsZero() && o.To.Before(o.From) {
		errs = append(errs, &Invalid{"to", "lies before from"})
	}
	if !printable(o.Ground) || len(o.Ground) > maxWords {
		errs = append(errs, &Invalid{"ground", fmt.Sprintf("is at most %d octets of text on one line", maxWords)})
	}
	if o.Lift && o.Ground == "" {
		errs = append(errs, &Invalid{"ground", "say why objections, withdrawals or entries in registers no longer count"})
	}
	if err := errors.Join(errs...); err != nil {
		return importJob{}, err
	}
	if o.Lift && !who.May(access.Administer) {
		return importJob{}, problem(http.StatusForbidden, "only an administrator lifts what protects the called person")
	}
	j, err := s.imports.undo(who.Name, o)
	if err == nil {
		s.o.Log.Info("an import is undone", "by", who.Name, "import", cleanText(o.Batch), "dry_run", o.DryRun, "lift", o.Lift)
	}
	return j, err
}

const maxWords = 200

func printable(s string) bool { return cleanText(s) == s }
