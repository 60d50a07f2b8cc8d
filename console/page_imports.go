package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"dialgate/policy"
)

// A mappingData is the page that shows how a file would be read.
type mappingData struct {
	Job         importJob
	Preview     Preview
	Options     ImportOptions
	Fields      []string // of facts
	Kinds       []policy.Kind
	Advertisers []string
	Template    string // under whose name the mapping is kept
	Templates   []mapping
}

// Constant is a field that every row has.
func (d mappingData) Constant(field string) string { return d.Options.Constants[field] }

// Facts are a row's fields beside each other.
func (r PreviewRow) Facts() (all []field) {
	var f map[string]any
	if len(r.Fact) == 0 || json.Unmarshal(r.Fact, &f) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if name != "id" && name != "batch" {
			all = append(all, field{name, short(fmt.Sprint(f[name]))})
		}
	}
	return all
}

// templateOptions is how a file is read by a mapping that has a name; without
// one nothing is said yet.
func (s *Server) templateOptions(name string) ImportOptions {
	o := ImportOptions{}
	if m, err := s.mappings.find(name); err == nil {
		o = m.options()
	}
	if o.Constants == nil {
		o.Constants = map[string]string{}
	}
	return o
}

// importMapping shows how a file would be read by what was said when it was
// sent, and of which column nothing was said, by what it seems to be.
func (v *view) importMapping() error {
	j, err := v.s.imports.find(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	o := j.options
	o.Guess = o.Columns == nil && o.Ignore == nil
	return v.showMapping(http.StatusOK, o, v.r.URL.Query().Get("template"))
}

func (v *view) showMapping(status int, o ImportOptions, template string) error {
	v.Name = "imports"
	id := v.r.PathValue("id")
	j, err := v.s.imports.find(id)
	if err != nil {
		return err
	}
	p, err := v.s.preview(v.r, id, o)
	if err != nil {
		if len(invalidities(err)) == 0 {
			return err
		}
		status = http.StatusUnprocessableEntity
		if err := v.wrong(err); err != nil {
			return err
		}
	}
	d := mappingData{Job: j, Preview: p, Options: o, Fields: policy.FactFields(), Kinds: policy.Kinds(), Template: template, Templates: v.s.mappings.list()}
	for id := range v.s.o.Node.State().Names {
		d.Advertisers = append(d.Advertisers, id)
	}
	slices.Sort(d.Advertisers)
	return v.show(status, "mapping", v.T("How the file is read"), d)
}

// constantFields are the fields that every row can have, as the form asks for them.
var constantFields = []string{"kind", "advertiser", "preticked", "bundled"}

// mappingForm is the mapping that the form says. Columns stand there by their
// place, with their name beside it.
func (v *view) mappingForm() ImportOptions {
	f := v.r.PostFormValue
	o := ImportOptions{Constants: map[string]string{}, Columns: map[string]string{}, Ignore: []string{"*"}, Dutch: f("dates") == "dutch"}
	for i := range maxMapped {
		name := f(fmt.Sprint("name", i))
		if name == "" {
			break
		}
		if field := f(fmt.Sprint("column", i)); field != "" {
			o.Columns[name] = field
		}
	}
	for _, field := range constantFields {
		if text := f(field); text != "" {
			o.Constants[field] = text
		}
	}
	return o
}

func (v *view) importMapped() error {
	o, id := v.mappingForm(), v.r.PathValue("id")
	template := strings.TrimSpace(v.r.PostFormValue("template"))
	do := v.r.PostFormValue("do")
	switch do {
	case "keep":
		if err := v.s.mappings.put(mappingOf(template, &o)); err != nil {
			if err := v.wrong(err); err != nil {
				return err
			}
			return v.showMapping(http.StatusUnprocessableEntity, o, template)
		}
		v.Notice = v.T("The template is kept.")
	case "dry", "import":
		if _, err := v.s.imports.again(id, do == "dry", o); err != nil {
			return err
		}
		return v.away("/imports/" + id)
	}
	return v.showMapping(http.StatusOK, o, template)
}

// runKept imports a file after its dry run, as it was read then.
func (v *view) runKept() error {
	id := v.r.PathValue("id")
	j, err := v.s.imports.find(id)
	if err != nil {
		return err
	}
	if _, err = v.s.imports.again(id, false, j.options); err != nil {
		return err
	}
	return v.away("/imports/" + id)
}

func (v *view) dropTemplate() error {
	if err := v.s.mappings.remove(v.r.PostFormValue("name")); err != nil {
		return err
	}
	v.tell("The template is removed.")
	return v.away("/imports")
}

// undoImport undoes an import: first what that would do, then, by the button
// under it, for good.
func (v *view) undoImport() error {
	f := v.r.PostFormValue
	o := UndoOptions{Batch: f("batch"), DryRun: f("do") != "undo", Lift: f("lift") != "", Ground: strings.TrimSpace(f("ground"))}
	j, err := v.s.undo(v.Who(), o)
	if err != nil {
		if err := v.wrong(err); err != nil {
			return err
		}
		v.Name = "imports"
		return v.showImports(http.StatusUnprocessableEntity)
	}
	return v.away("/imports/" + j.ID)
}

// Undoes is how an undo was asked for, nil when the job is an import.
func (j importJob) Undoes() *UndoOptions { return j.undo }

// Counted lists how many facts there are of each kind.
func (v *view) Counted(counts map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprint(counts[kind], " ", v.T(kind)))
	}
	if parts == nil {
		return v.T("nothing")
	}
	return strings.Join(parts, ", ")
}
