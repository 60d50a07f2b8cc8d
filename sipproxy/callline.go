package sipproxy

import (
	"context"
	"log/slog"
	"time"

	"dialgate/policy"
)

// callLines write the one line of each call. What a line has in common with
// most others is formatted once. They are used under the layer's lock.
type callLines struct {
	log    slog.Handler
	common map[commonLine]slog.Handler
}

// A commonLine is what most lines have in common with others: there are as many
// as peers, campaigns and reasons that meet.
type commonLine struct {
	verdict        policy.Verdict
	reason         policy.Reason
	peer, campaign string
}

// mostCommon bounds what is kept formatted, over changes of the configuration.
const mostCommon = 4096

// write writes a call's line. Nothing in it is personal.
func (l *callLines) write(c commonLine, code int, id policy.RulingID, began time.Time) {
	if !l.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	h := l.common[c]
	if h == nil {
		if len(l.common) >= mostCommon {
			clear(l.common)
		}
		h = l.log.WithAttrs([]slog.Attr{slog.String("verdict", c.verdict.String()), slog.String("reason", c.reason.String()),
			slog.String("peer", c.peer), slog.String("campaign", c.campaign)})
		l.common[c] = h
	}
	now := time.Now()
	r := slog.NewRecord(now, slog.LevelInfo, "call", 0) // without its place in the source, which no handler of ours prints
	r.AddAttrs(slog.Int("code", code), slog.String("id", id.String()), slog.Int64("us", now.Sub(began).Microseconds()))
	_ = h.Handle(context.Background(), r) // as a Logger does
}
