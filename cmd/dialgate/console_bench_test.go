package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"dialgate/console/access"
)

// BenchmarkObjectionsThroughTheAPI enters objections as NDJSON, a thousand a request.
func BenchmarkObjectionsThroughTheAPI(b *testing.B) {
	c := startConsole(b)
	sent := 0
	for b.Loop() {
		var body strings.Builder
		for range 1000 {
			sent++
			fmt.Fprintf(&body, `{"kind":"objection","number":"+316%08d","advertiser":"*"}`+"\n", sent)
		}
		res := c.open(c.tokens[access.Editor], "POST", "/v1/facts", "application/x-ndjson", strings.NewReader(body.String()))
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || strings.Count(string(text), `"id"`) != 1000 {
			b.Fatal(res.StatusCode, err, string(text))
		}
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "objections/s")
}

// BenchmarkNumberView asks what is known of a number with thirty calls, among
// five thousand others.
func BenchmarkNumberView(b *testing.B) {
	c := startConsole(b)
	for i := range 5000 {
		c.judgeOne("+31205550100", fmt.Sprintf("+316%08d", i%4970), fmt.Sprint(i))
		if i >= 4970 {
			c.judgeOne("+31205550100", "+31612345678", fmt.Sprint("own-", i))
		}
	}
	for b.Loop() {
		if got := c.as(access.Analyst, "POST", "/v1/numbers/query", `{"number":"+31612345678"}`, http.StatusOK); !strings.Contains(got, "energy") {
			b.Fatal(got)
		}
	}
}

// BenchmarkDecisionsPage asks for the newest fifty of ten thousand decisions.
func BenchmarkDecisionsPage(b *testing.B) {
	c := startConsole(b)
	for i := range 10_000 {
		c.judgeOne("+31205550100", fmt.Sprintf("+316%08d", i), fmt.Sprint(i))
	}
	for b.Loop() {
		c.as(access.Viewer, "GET", "/v1/decisions", "", http.StatusOK)
	}
}
