package configs

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is the JSON Schema (2020-12) of the configuration, made of the types.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[Config](), nil)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "dialgate configuration"
	out, err := json.MarshalIndent(s, "", "  ")
	must(err)
	return append(out, '\n')
}

func schemaOf(t reflect.Type, f *reflect.StructField) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	tag := func(name string) string {
		if f == nil {
			return ""
		}
		return f.Tag.Get(name)
	}
	switch {
	case t == reflect.TypeFor[*Unavailable]():
		s.Not = &jsonschema.Schema{} // nothing is allowed
	case t == reflect.TypeFor[time.Duration]():
		s.Type, s.Pattern = "string", `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`
	case t == reflect.TypeFor[Size]():
		s.Types, s.Pattern = []string{"string", "integer"}, `^[0-9]+ *(KiB|MiB|GiB)?$`
	case tag("special") == "rules":
		s.Type, s.AdditionalProperties = "object", ruleSchema()
	case t.Kind() == reflect.Struct:
		s.Types = []string{"object", "null"}
		s.Properties = map[string]*jsonschema.Schema{}
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
		for _, field := range keysOf(t) {
			key := field.Tag.Get("key")
			s.Properties[key] = schemaOf(field.Type, &field)
			s.PropertyOrder = append(s.PropertyOrder, key)
			if _, need := field.Tag.Lookup("required"); need {
				s.Required = append(s.Required, key)
			}
		}
	case t.Kind() == reflect.Slice:
		s.Types = []string{"array", "null"}
		s.Items = schemaOf(t.Elem(), f)
		s.Items.Description, s.Items.Default = "", nil
	case t.Kind() == reflect.Bool:
		s.Type = "boolean"
	case t.Kind() == reflect.Int:
		s.Type = "integer"
		s.Minimum, s.Maximum = bound(tag("min")), bound(tag("max"))
	default:
		// A number or date that YAML takes for something else than a text is
		// read as it is written.
		s.Types = []string{"string", "number"}
		for _, v := range strings.Split(tag("oneof"), ",") {
			if v != "" {
				s.Enum = append(s.Enum, v)
			}
		}
	}
	s.Description = tag("doc")
	return s
}

// ruleSchema is that of one entry under rules.
func ruleSchema() *jsonschema.Schema {
	none := &jsonschema.Schema{Not: &jsonschema.Schema{}}
	modeOr := func(properties map[string]*jsonschema.Schema, others *jsonschema.Schema) *jsonschema.Schema {
		mode := &jsonschema.Schema{Enum: []any{"off", "shadow", "enforce", false}}
		properties["mode"] = mode
		properties["percent"] = &jsonschema.Schema{Type: "integer", Minimum: bound("0"), Maximum: bound("100")}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{mode, {Type: "object", Properties: properties, AdditionalProperties: others,
			DependentRequired: map[string][]string{"percent": {"mode"}}}}}
	}
	part := &jsonschema.Schema{Types: []string{"object", "null"}, AdditionalProperties: modeOr(map[string]*jsonschema.Schema{}, none)}
	parameter := &jsonschema.Schema{Types: []string{"integer", "boolean", "string"}}
	return modeOr(map[string]*jsonschema.Schema{"peers": part, "campaigns": part}, parameter)
}

func bound(s string) *float64 {
	if s == "" {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	must(err)
	return &f
}
