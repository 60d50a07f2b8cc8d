package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func readBody(text string, into any) error {
	r := httptest.NewRequest("POST", "/", strings.NewReader(text))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	return (&call{w: httptest.NewRecorder(), r: r}).read(into)
}

// TestABodyTellsAllThatIsWrong at once, each with its path.
func TestABodyTellsAllThatIsWrong(t *testing.T) {
	err := readBody(`{"number":7,"known_at":"yesterday","fromat":"json","format":["x"]}`, &proofQuery{})
	var got []string
	for _, e := range invalidities(err) {
		got = append(got, e.Error())
	}
	want := []string{"format: is a array, want string", `fromat: no such field; did you mean "format"?`, `known_at: is no instant, such as "2026-07-01T09:00:00+02:00"`, "number: is a number, want string"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for text, status := range map[string]int{"": 400, "[]": 400, `{} {}`: 400, `"x"`: 400, `null`: 0, `{}`: 0, `{"number":"` + strings.Repeat("1", maxBody) + `"}`: 413} {
		err := readBody(text, &proofQuery{})
		if p := (&Server{}).problemOf; err == nil && status != 0 || err != nil && p(err).Status != status {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// FuzzBody: whatever is sent, it is read or every part that is wrong is named.
func FuzzBody(f *testing.F) {
	f.Add(`{"name":"a","url":"https://x.example/","role":"viewer","events":["decision"]}`)
	f.Add(`{"events":{"a":1},"NAME":"x","é\u0000":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var n newHook
		err := readBody(text, &n)
		var fields map[string]json.RawMessage
		if whole := json.Unmarshal([]byte(text), &fields) == nil; whole && err != nil && len(invalidities(err)) == 0 || !whole && err == nil {
			t.Errorf("%q: %v", text, err)
		}
		if got := len(invalidities(err)); got > len(fields) {
			t.Errorf("%q: %d faults in %d fields", text, got, len(fields))
		}
	})
}

// TestEveryReferenceInTheDocumentLeadsSomewhere: and every operation has its
// own id, a summary, its parameters, and problems for what goes wrong.
func TestEveryReferenceInTheDocumentLeadsSomewhere(t *testing.T) {
	text, err := openAPI(routes, struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if name, ok := strings.CutPrefix(ref, "#/components/schemas/"); !ok || doc.Components.Schemas[name] == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	walk(whole)
	ids := map[string]bool{}
	for _, rt := range routes {
		o := doc.Paths[rt.path][strings.ToLower(rt.method)]
		id, _ := o["operationId"].(string)
		if o == nil || id == "" || ids[id] || o["summary"] == "" {
			t.Errorf("%s %s is %v", rt.method, rt.path, o)
		}
		ids[id] = true
		responses, _ := o["responses"].(map[string]any)
		if responses["default"] == nil || len(responses) != 2 {
			t.Errorf("%s %s answers %v", rt.method, rt.path, responses)
		}
		if rt.body != nil && o["requestBody"] == nil || rt.method == http.MethodGet && o["requestBody"] != nil {
			t.Errorf("%s %s takes %v", rt.method, rt.path, o["requestBody"])
		}
	}
}
