package store

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"strings"
	"time"
)

//go:embed pack.html
var packPage string

// Between these a page holds its pack as JSON.
const (
	packOpens  = `<script type="application/json" id="pack">`
	packCloses = `</script>`
)

var packTemplate = template.Must(template.New("pack").Funcs(template.FuncMap{
	"when": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"list": func(list []string) string { return strings.Join(list, ", ") },
	"fact": func(f FactView) (map[string]any, error) {
		m := map[string]any{}
		err := json.Unmarshal(f.Fact, &m)
		return m, err
	},
	"words": func(v any) string {
		if list, ok := v.([]any); ok {
			var texts []string
			for _, one := range list {
				if s, ok := one.(string); ok {
					texts = append(texts, s)
				}
			}
			return strings.Join(texts, ", ")
		}
		s, _ := v.(string)
		return s
	},
}).Parse(packPage))

// HTML is the pack as one page for people: it needs nothing else, fetches
// nothing, and holds the pack itself, so that it can be verified.
func (p *Pack) HTML() ([]byte, error) {
	var b bytes.Buffer
	if err := packTemplate.Execute(&b, p); err != nil {
		return nil, err
	}
	b.WriteString(packOpens)
	text, err := p.AppendJSON(nil) // < and > are escaped in it
	if err != nil {
		return nil, err
	}
	b.Write(text)
	b.WriteString(packCloses + "\n</body>\n</html>\n")
	return b.Bytes(), nil
}
