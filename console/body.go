package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"dialgate/policy"
)

// maxBody bounds a JSON body.
const maxBody = 1 << 20

// read reads a JSON body strictly into a struct, and tells of every field that
// is wrong at once.
func (c *call) read(into any) error {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != jsonType {
		return problem(http.StatusUnsupportedMediaType, "send "+jsonType)
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var fields map[string]json.RawMessage
	err := dec.Decode(&fields)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("text follows the closing brace")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return err
	case err != nil:
		return problem(http.StatusBadRequest, "the body is no JSON object: "+err.Error())
	}
	return fill(reflect.ValueOf(into).Elem(), fields)
}

// fill puts the fields of an object into a struct.
func fill(into reflect.Value, fields map[string]json.RawMessage) error {
	var errs []error
	places, known := map[string]int{}, []string{}
	for i := range into.NumField() {
		name, _, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		places[name], known = i, append(known, name)
	}
	for name, text := range fields {
		at, ok := places[name]
		if !ok {
			errs = append(errs, &Invalid{cleanText(name), "no such field" + policy.Suggest(name, known)})
			continue
		}
		if err := json.Unmarshal(text, into.Field(at).Addr().Interface()); err != nil {
			errs = append(errs, &Invalid{name, whyNot(err, into.Field(at).Type())})
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// whyNot says why a value can't be read.
func whyNot(err error, want reflect.Type) string {
	var wrong *json.UnmarshalTypeError
	var when *time.ParseError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("is a %s, want %s", wrong.Value, wrong.Type)
	case errors.As(err, &when) || want == reflect.TypeFor[time.Time]():
		return "is no instant, such as \"2026-07-01T09:00:00+02:00\""
	}
	return err.Error()
}
