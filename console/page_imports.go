package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
)

// A mappingData is the page that shows how a file would be read.
type mappingData struct {
	Job         importJob
	Preview     Preview
	Options     ImportOptions
	Fields      []string // of facts
	Worded      []string // fields that have few words
	Kinds       []policy.Kind
	Advertisers []string
	Template    string // under whose name the mapping is kept
	Dates       bool   // how dates are written was guessed
}

// Constant is a field that every row has.
func (d mappingData) Constant(field string) string { return d.Options.Constants[field] }

// A textData is a text of the file and what it means.
type textData struct {
	Field, Text, Means string
	Words              []string
}

// Texts are those that the file has in columns of few words, and those that it
// was said of what they mean. One that is a word itself needs no meaning.
func (d mappingData) Texts() (texts []textData) {
	var there [][2]string
	add := func(field, text string, words []string) {
		folded := [2]string{field, strings.ToLower(text)}
		means, said := "", false
		for of, as := range d.Options.Values[field] {
			if strings.EqualFold(of, text) {
				means, said = as, true
			}
		}
		if slices.Contains(there, folded) || !said && slices.Contains(words, text) {
			return
		}
		there = append(there, folded)
		if said && !slices.Contains(words, means) {
			words = append(slices.Clone(words), means)
		}
		texts = append(texts, textData{field, text, means, words})
	}
	for _, c := range d.Preview.Columns {
		for _, text := range c.Texts {
			add(c.Field, text, c.Words)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(d.Options.Values)) {
		for _, text := range slices.Sorted(maps.Keys(d.Options.Values[field])) {
			add(field, text, policy.FactWords(field))
		}
	}
	return texts
}

// Facts are a row's fields beside each other.
func (r PreviewRow) Facts() (all []field) {
	var f map[string]any
	if len(r.Fact) == 0 || json.Unmarshal(r.Fact, &f) != nil {
		return nil
	}
	for name, value := range flat(f) {
		if name != "id" && name != "batch" {
			all = append(all, field{name, short(value)})
		}
	}
	sortFields(all)
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
	dates := o.Guess && !o.Dutch && v.datesAreDutch(o)
	o.Dutch = o.Dutch || dates
	return v.showMapping(http.StatusOK, o, v.r.URL.Query().Get("template"), dates)
}

// datesAreDutch reports whether more of a file's first rows can be read when
// dates are day-month-year.
func (v *view) datesAreDutch(o ImportOptions) bool {
	atFault := func(dutch bool) (rows int) {
		o.Dutch = dutch
		p, err := v.s.preview(v.r, v.r.PathValue("id"), o)
		if err != nil {
			return 0 // the page says it
		}
		for i := range p.Rows {
			for _, e := range p.Rows[i].Errors {
				if slices.Contains(dateFields, e.Path) {
					rows++
				}
			}
		}
		return rows
	}
	return atFault(true) < atFault(false)
}

// dateFields are the fields that dates are usually given for.
var dateFields = []string{"at", "verified_at", "valid_until", "first_call_by", "started", "ended", "until"}

func (v *view) showMapping(status int, o ImportOptions, template string, datesGuessed bool) error {
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
	d := mappingData{Job: j, Preview: p, Options: o, Fields: policy.FactFields(), Kinds: policy.Kinds(), Template: template, Dates: datesGuessed}
	for _, f := range d.Fields {
		if len(policy.FactWords(f)) > 0 || f == "advertiser" || f == "products" {
			d.Worded = append(d.Worded, f)
		}
	}
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
	for i := range maxMapped {
		if _, there := v.r.PostForm[fmt.Sprint("valuefield", i)]; !there {
			break
		}
		field, text, means := f(fmt.Sprint("valuefield", i)), strings.TrimSpace(f(fmt.Sprint("valuetext", i))), strings.TrimSpace(f(fmt.Sprint("valuemeans", i)))
		if field != "" && text != "" && means != "" {
			o.mean(field, text, means)
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
			return v.showMapping(http.StatusUnprocessableEntity, o, template, false)
		}
		v.Notice = v.T("The template is kept.")
	case "dry", "import":
		if _, err := v.s.imports.again(id, do == "dry", o); err != nil {
			return err
		}
		return v.away("/imports/" + id)
	}
	return v.showMapping(http.StatusOK, o, template, false)
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
	o := UndoOptions{Import: f("import"), Batch: f("batch"), All: f("all") != "", DryRun: f("do") != "undo", Lift: f("lift") != "", Ground: strings.TrimSpace(f("ground"))}
	var err error
	for name, at := range map[string]*time.Time{"from": &o.From, "to": &o.To} {
		if f(name) == "" {
			continue
		}
		if *at, err = time.Parse(time.RFC3339Nano, f(name)); err != nil {
			err = &Invalid{name, v.T("is no date and time")}
			break
		}
	}
	var j importJob
	if err == nil {
		j, err = v.s.undo(v.Who(), o)
	}
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

// OneOfSeveral reports whether an undo is of one import of a name that came more than once.
func (o *UndoOptions) OneOfSeveral() bool { return !o.From.IsZero() || !o.To.IsZero() }

// Exact is an instant for a form, to be read again as it is.
func (v *view) Exact(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

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
