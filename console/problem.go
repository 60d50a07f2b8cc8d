package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"dialgate/policy"
)

// A Problem is an error as RFC 9457 has it, with everything that is wrong.
type Problem struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail,omitempty"`
	Errors []*Invalid `json:"errors,omitempty"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// problem makes a Problem whose type says no more than its status.
func problem(status int, detail string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
}

// invalid makes a Problem of all that is wrong with what was asked.
func invalid(errs ...*Invalid) *Problem {
	p := problem(http.StatusUnprocessableEntity, "")
	p.Errors = errs
	if len(errs) == 1 {
		p.Detail = errs[0].Error()
	} else {
		p.Detail = "several things are wrong; errors lists them"
	}
	return p
}

// invalidities takes apart what is wrong with a request; none: the error is of
// another kind.
func invalidities(err error) (all []*Invalid) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, invalidities(one)...)
		}
		return all
	}
	var own *Invalid
	if errors.As(err, &own) {
		return []*Invalid{own}
	}
	var field *policy.FieldError
	if errors.As(err, &field) {
		return []*Invalid{{field.Field, field.Err.Error()}}
	}
	return nil
}

// problemOf is how an error is said. What went wrong inside is not told to
// whoever asked: it is in the log.
func (s *Server) problemOf(err error) *Problem {
	var p *Problem
	var large *http.MaxBytesError
	switch all := invalidities(err); {
	case errors.As(err, &p):
		return p
	case len(all) > 0:
		return invalid(all...)
	case errors.As(err, &large):
		return problem(http.StatusRequestEntityTooLarge, "the body is too large")
	case errors.Is(err, ErrNoRoom):
		return problem(http.StatusInsufficientStorage, strings.ReplaceAll(err.Error(), "\n", "; "))
	case errors.Is(err, ErrNoCall):
		return problem(http.StatusNotFound, ErrNoCall.Error())
	}
	s.o.Log.Error("a request could not be answered", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
	return problem(http.StatusInternalServerError, "the node could not do it; its log says why")
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone
}
