package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"dialgate/trace"
)

// A jsonReport is JSON Lines: one record a call, and one for each thing that
// could not be read.
type jsonReport struct {
	w    io.Writer
	enc  *json.Encoder
	line []byte
}

func newJSONReport(w io.Writer) *jsonReport {
	j := &jsonReport{w: w, enc: json.NewEncoder(w)}
	j.enc.SetEscapeHTML(false)
	return j
}

func (j *jsonReport) begin(string) {}

// call writes what the encoder would, in a quarter of the time: there are many.
func (j *jsonReport) call(c *judgement) {
	b := appendField(j.line[:0], `{"file":`, c.File)
	b = append(b, `,"packet":`...)
	b = strconv.AppendInt(b, int64(c.Packet), 10)
	b = appendField(b, `,"at":`, c.At)
	b = appendField(b, `,"call_id":`, c.CallID)
	b = appendTold(b, `,"from":`, c.From)
	b = appendTold(b, `,"to":`, c.To)
	b = appendTold(b, `,"peer":`, c.Peer)
	b = appendTold(b, `,"campaign":`, c.Campaign)
	b = appendField(b, `,"verdict":`, c.Verdict)
	b = appendField(b, `,"reason":`, c.Reason)
	b = appendTold(b, `,"rule":`, c.Rule)
	j.line = append(b, "}\n"...)
	_, _ = j.w.Write(j.line) // the writer keeps its error
}

// appendTold appends a field unless it could not be told.
func appendTold(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return appendField(b, key, value)
}

// appendField appends a key and its text. Most need no escape.
func appendField(b []byte, key, value string) []byte {
	b = append(b, key...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, value)
		}
	}
	return append(append(append(b, '"'), value...), '"')
}

func appendEscaped(b []byte, value string) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(err) // a string has a JSON form
	}
	return append(b, bytes.TrimSuffix(text.Bytes(), []byte{'\n'})...)
}

func (j *jsonReport) difference(was, now *judgement) {
	_ = j.enc.Encode(struct { // the writer keeps its error
		*judgement
		Was otherwise `json:"was"`
		Now otherwise `json:"now"`
	}{was, otherwise{was.At, was.Verdict, was.Reason, was.Rule}, otherwise{now.At, now.Verdict, now.Reason, now.Rule}})
}

// otherwise is one of the two decisions of a comparison.
type otherwise struct {
	At      string `json:"at"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Rule    string `json:"rule,omitempty"`
}

func (j *jsonReport) problem(file string, p *trace.Problem) {
	_ = j.enc.Encode(struct { // the writer keeps its error
		File       string `json:"file"`
		Packet     int    `json:"packet,omitempty"`
		Unreadable string `json:"unreadable"`
	}{file, p.Packet, p.Cause})
}

func (j *jsonReport) end(*trace.Stats) {}
