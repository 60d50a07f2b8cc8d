package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"dialgate/console/access"
)

// openAPI writes the routes as an OpenAPI 3.1 document. explains is an example
// of what decide answers.
func openAPI(routes []route, explains any) ([]byte, error) {
	schemas := map[string]any{}
	problemRef, err := schemaOf(reflect.TypeFor[Problem](), schemas)
	if err != nil {
		return nil, err
	}
	paths := map[string]map[string]any{}
	for i := range routes {
		rt := &routes[i]
		answer := rt.answer
		if answer == nil && rt.status != http.StatusNoContent {
			answer = explains
		}
		o, err := rt.operation(answer, schemas, problemRef)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", rt.method, rt.path, err)
		}
		if paths[rt.path] == nil {
			paths[rt.path] = map[string]any{}
		}
		paths[rt.path][strings.ToLower(rt.method)] = o
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "dialgate", "version": "1",
			"description": "Facts in, decisions out. Every request carries a bearer token, also on loopback: dialgate token create. Errors are RFC 9457 and list everything that is wrong, each with its path."},
		"security": []any{map[string]any{"bearer": []string{}}},
		"paths":    paths,
		"components": map[string]any{
			"schemas":         schemas,
			"securitySchemes": map[string]any{"bearer": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	})
	return b.Bytes(), err
}

// operation is one endpoint of the document.
func (rt *route) operation(answer any, schemas map[string]any, problemRef any) (map[string]any, error) {
	var parameters []any
	for _, part := range strings.Split(rt.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			parameters = append(parameters, map[string]any{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for _, p := range rt.query {
		parameters = append(parameters, map[string]any{"name": p.name, "in": "query", "description": p.what, "schema": map[string]any{"type": "string"}})
	}
	var roles []string
	for _, role := range access.Roles() {
		if rt.opens(role) {
			roles = append(roles, string(role))
		}
	}
	status := rt.status
	if status == 0 {
		status = http.StatusOK
	}
	good := map[string]any{"description": http.StatusText(status)}
	if answer != nil {
		content, err := contentOf(answer, rt.gives, schemas)
		if err != nil {
			return nil, err
		}
		good["content"] = content
	}
	wrong := map[string]any{"description": "What is wrong, all of it.", "content": map[string]any{"application/problem+json": map[string]any{"schema": problemRef}}}
	o := map[string]any{
		"summary": rt.summary, "description": "Roles: " + strings.Join(roles, ", ") + ".", "operationId": rt.id(),
		"responses": map[string]any{fmt.Sprint(status): good, "default": wrong},
	}
	if parameters != nil {
		o["parameters"] = parameters
	}
	if rt.body != nil {
		content, err := contentOf(rt.body, rt.takes, schemas)
		if err != nil {
			return nil, err
		}
		if rt.path == "/v1/facts" {
			content[ndjsonType] = content[jsonType]
			good["content"].(map[string]any)[ndjsonType] = good["content"].(map[string]any)[jsonType]
		}
		o["requestBody"] = map[string]any{"required": true, "content": content}
	}
	return o, nil
}

// id names an operation, such as postFacts.
func (rt *route) id() string {
	id := strings.ToLower(rt.method)
	for _, part := range strings.Split(strings.TrimPrefix(rt.path, "/v1/"), "/") {
		if part = strings.Trim(part, "{}"); part != "" {
			id += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return id
}

func contentOf(example any, media string, schemas map[string]any) (map[string]any, error) {
	if media == "" {
		media = jsonType
	}
	if _, raw := example.([]byte); raw {
		return map[string]any{media: map[string]any{}}, nil
	}
	ref, err := schemaOf(reflect.TypeOf(example), schemas)
	return map[string]any{media: map[string]any{"schema": ref}}, err
}

// schemaOf is a reference to a type's schema, which is put among the others.
func schemaOf(t reflect.Type, schemas map[string]any) (any, error) {
	if t.Kind() == reflect.Slice {
		items, err := schemaOf(t.Elem(), schemas)
		return map[string]any{"type": "array", "items": items}, err
	}
	name := t.Name()
	ref := map[string]any{"$ref": "#/components/schemas/" + name}
	if _, there := schemas[name]; there {
		return ref, nil
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {Type: "object", Description: "a fact, in the vocabulary of facts"},
	}})
	if err != nil {
		return nil, err
	}
	schemas[name] = schema
	return ref, nil
}
