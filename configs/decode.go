package configs

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"dialgate/policy"
)

// Bounds of what is read at all.
const (
	maxFile  = 8 << 20 // octets
	maxNodes = 1_000_000
)

// A decoder fills the schema's types from YAML nodes and collects every error.
type decoder struct {
	file      string
	errs      Errors
	positions map[string]position
	nodes     int
	secret    func(kind, name string) (string, error)
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Col: n.Column, Path: path, Text: fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// parse reads one YAML document; nil when it is empty or no YAML.
func (d *decoder) parse(data []byte) *yaml.Node {
	if len(data) > maxFile {
		d.errs = append(d.errs, &Error{File: d.file, Line: 1, Col: 1, Text: fmt.Sprintf("the file has %d octets, at most %d are read", len(data), maxFile)})
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		line, text := 1, err.Error()
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				line = n
			}
			text = m[2]
		}
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Col: 1, Text: "no YAML: " + text})
		return nil
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// resolve follows an alias. Each node that is looked at counts, so that
// aliases of aliases can't blow up.
func (d *decoder) resolve(n *yaml.Node, path string) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.nodes++; d.nodes == maxNodes+1 {
		d.fail(n, path, "more than %d values, aliases counted", maxNodes)
	}
	return n
}

// decode fills v, which is settable, from a node.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, field *reflect.StructField) {
	n = d.resolve(n, path)
	if d.nodes > maxNodes {
		return
	}
	d.positions[path] = position{n.Line, n.Column}
	switch v.Interface().(type) {
	case *Unavailable:
		d.fail(n, path, "is not available in this version; remove it")
		return
	case time.Duration:
		d.duration(n, v, path, field)
		return
	case Size:
		d.size(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Slice:
		d.list(n, v, path, field)
	case reflect.String:
		if s, ok := d.text(n, path); ok {
			v.SetString(d.checked(n, s, path, field))
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			d.fail(n, path, "want true or false")
			return
		}
		v.SetBool(n.Value == "true" || n.Value == "True" || n.Value == "TRUE")
	case reflect.Int:
		d.integer(n, v, path, field)
	default:
		panic("configs: the schema holds a type without a decoder: " + v.Type().String())
	}
}

// object reads a mapping into a struct by its fields' keys.
func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "want a mapping of keys")
		return
	}
	fields := keysOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if seen[key.Value] {
			d.fail(key, at, "is there twice")
			continue
		}
		seen[key.Value] = true
		j := slices.IndexFunc(fields, func(f reflect.StructField) bool { return f.Tag.Get("key") == key.Value })
		if j < 0 {
			d.fail(key, at, "no such key%s; allowed: %s", policy.Suggest(key.Value, names(fields)), strings.Join(names(fields), ", "))
			continue
		}
		if fields[j].Tag.Get("special") != "" {
			d.positions[at] = position{value.Line, value.Column}
			continue
		}
		d.decode(value, v.FieldByIndex(fields[j].Index), at, &fields[j])
	}
	for i := range fields {
		if _, need := fields[i].Tag.Lookup("required"); need && !seen[fields[i].Tag.Get("key")] {
			d.fail(n, join(path, fields[i].Tag.Get("key")), "is missing: %s", fields[i].Tag.Get("doc"))
		}
	}
}

// keysOf are the configurable fields of a struct.
func keysOf(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("key") != "" {
			out = append(out, f)
		}
	}
	return out
}

func names(fields []reflect.StructField) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Tag.Get("key"))
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, field *reflect.StructField) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "want a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), field)
	}
}

// text takes a scalar as it is written: an unquoted +31612345678 keeps its
// plus. Secrets are put in here.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(n, path, "want a text")
		return "", false
	}
	return d.expand(n, n.Value, path), true
}

var secretRef = regexp.MustCompile(`\$\{(\w+):([^}]*)\}`)

func (d *decoder) expand(n *yaml.Node, s, path string) string {
	return secretRef.ReplaceAllStringFunc(s, func(ref string) string {
		m := secretRef.FindStringSubmatch(ref)
		value, err := d.secret(m[1], m[2])
		if err != nil {
			d.fail(n, path, "%v", err)
		}
		return value
	})
}

// secret reads ${env:NAME} and ${file:PATH}.
func secret(kind, name string) (string, error) {
	switch kind {
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", name)
		}
		return v, nil
	case "file":
		return secretFile(name)
	}
	return "", fmt.Errorf("${%s:...} is unknown; allowed: ${env:NAME}, ${file:PATH}", kind)
}

const maxSecret = 64 << 10 // octets

// secretFile reads a secret from a regular file of bounded size.
func secretFile(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("the secret can't be read: %w", err)
	case !info.Mode().IsRegular() || info.Size() > maxSecret:
		return "", fmt.Errorf("the secret %s is no file of at most %d octets", name, maxSecret)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("the secret can't be read: %w", err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// checked holds a text against what its field allows.
func (d *decoder) checked(n *yaml.Node, s, path string, field *reflect.StructField) string {
	if field == nil {
		return s
	}
	if allowed := field.Tag.Get("oneof"); allowed != "" {
		if list := strings.Split(allowed, ","); !slices.Contains(list, s) {
			d.fail(n, path, "%q is not allowed%s; allowed: %s", s, policy.Suggest(s, list), strings.Join(list, ", "))
		}
		return s
	}
	var err error
	switch field.Tag.Get("kind") {
	case "addrport":
		var a netip.AddrPort
		if a, err = netip.ParseAddrPort(s); err != nil {
			d.fail(n, path, "%q is no IP address with a port, such as 192.0.2.1:5060 or [2001:db8::1]:5060", s)
		} else {
			s = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
		}
	case "target":
		var a netip.AddrPort
		if a, err = netip.ParseAddrPort(s); err == nil {
			s = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
		} else if _, _, ok := HostPort(s); !ok {
			d.fail(n, path, "%q is no IP address with a port, such as 192.0.2.1:5060 or [2001:db8::1]:5060, and no name, such as sip.example.com or sip.example.com:5060", s)
		}
	case "prefix":
		if _, err = parsePrefix(s); err != nil {
			d.fail(n, path, "%q is no network, such as 192.0.2.0/24, and no IP address", s)
		}
	case "number":
		if _, err = policy.ParseNumber(s); err != nil {
			d.fail(n, path, "%q is no number in international form, such as +31205550100", s)
		}
	case "date":
		if _, err = policy.ParseDate(s); err != nil {
			d.fail(n, path, "%q is no date, such as 2026-07-01", s)
		}
	}
	return s
}

var hostName = regexp.MustCompile(`^(?i:[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+(?i:[a-z]([a-z0-9-]{0,61}[a-z0-9])?)\.?$`)

// HostPort reads a host name with or without a port; port 0: there is none.
func HostPort(s string) (host string, port uint16, ok bool) {
	host, text, found := strings.Cut(s, ":")
	if found {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		port = uint16(n)
	}
	return host, port, len(host) <= 253 && hostName.MatchString(host)
}

// Prefixes are networks that were checked: CIDR or single addresses.
func Prefixes(texts []string) (all []netip.Prefix) {
	for _, s := range texts {
		if p, err := parsePrefix(s); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (d *decoder) integer(n *yaml.Node, v reflect.Value, path string, field *reflect.StructField) {
	i, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.fail(n, path, "want a whole number")
		return
	}
	if least := field.Tag.Get("min"); least != "" {
		if m, _ := strconv.Atoi(least); i < m {
			d.fail(n, path, "%d is too small, at least %s", i, least)
		}
	}
	if most := field.Tag.Get("max"); most != "" {
		if m, _ := strconv.Atoi(most); i > m {
			d.fail(n, path, "%d is too large, at most %s", i, most)
		}
	}
	v.SetInt(int64(i))
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string, field *reflect.StructField) {
	t, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || t < 0 {
		d.fail(n, path, "want a duration, such as 500ms or 30s")
		return
	}
	if least := field.Tag.Get("min"); least != "" {
		m, err := time.ParseDuration(least)
		must(err)
		if t < m {
			d.fail(n, path, "%s is too short, at least %s", t, least)
		}
	}
	v.SetInt(int64(t))
}

func (d *decoder) size(n *yaml.Node, v reflect.Value, path string) {
	s, err := parseSize(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		d.fail(n, path, "want a size, such as 64MiB")
		return
	}
	v.SetInt(int64(s))
}

func parseSize(s string) (Size, error) {
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		unit   int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = strings.TrimSpace(rest), u.unit
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<40/unit {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return Size(n * unit), nil
}

// defaults sets every field that has a default and was not given. One that was
// given as 0 or empty stays so.
func (d *decoder) defaults(v reflect.Value, path string) {
	for _, f := range keysOf(v.Type()) {
		field, at := v.FieldByIndex(f.Index), join(path, f.Tag.Get("key"))
		switch {
		case f.Tag.Get("special") != "" || field.Kind() == reflect.Pointer:
		case field.Kind() == reflect.Struct:
			d.defaults(field, at)
		case field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Struct:
			for i := range field.Len() {
				d.defaults(field.Index(i), fmt.Sprintf("%s[%d]", at, i))
			}
		case f.Tag.Get("default") != "" && field.IsZero() && !d.given(field, at):
			setDefault(field, f.Tag.Get("default"))
		}
	}
}

// given reports whether the file says what a field is: null says nothing, and
// of what can't be read one error is enough.
func (d *decoder) given(field reflect.Value, path string) bool {
	_, there := d.positions[path]
	null := field.Kind() == reflect.Slice && field.IsNil()
	return there && !null && !slices.ContainsFunc(d.errs, func(e *Error) bool { return e.Path == path })
}

func setDefault(v reflect.Value, s string) {
	switch v.Interface().(type) {
	case time.Duration:
		t, err := time.ParseDuration(s)
		must(err)
		v.SetInt(int64(t))
		return
	case Size:
		n, err := parseSize(s)
		must(err)
		v.SetInt(int64(n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Int:
		n, err := strconv.Atoi(s)
		must(err)
		v.SetInt(int64(n))
	case reflect.Slice:
		v.Set(reflect.ValueOf(strings.Split(s, ",")))
	}
}

// must holds for defaults in the schema, which a test reads all of.
func must(err error) {
	if err != nil {
		panic("configs: a default in the schema is wrong: " + err.Error())
	}
}
