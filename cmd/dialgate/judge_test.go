package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"

	"dialgate/gate"
	"dialgate/policy"
	"dialgate/store"
)

// judgeCalls is the command `judge CONFIG CALLS` of the scripts: it judges each
// line of a file through the gate with the configuration's store, as a node
// would. A line is a time, the caller number, the called number, a peer, and
// perhaps a header.
func judgeCalls() {
	if err := judgeFile(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func judgeFile(config, calls string) error {
	w, err := loadWorld(config)
	if err != nil {
		return err
	}
	f, err := os.Open(calls)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := store.Open(storeOptions(w.cfg))
	if err != nil {
		return err
	}
	var now time.Time
	g := gate.New(gate.Options{Rules: gate.Rules{Books: w.books, Config: w.cfg.ID()}, Facts: s, Ledger: s, Node: w.cfg.Node,
		Now: func() time.Time { return now }, Permit: w.permit(),
		Answer: func(p *policy.PeerTerms, r policy.Reason) int { return answer(p, r).Code }})
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.SplitN(sc.Text(), " ", 5)
		if now, err = time.Parse(time.RFC3339, fields[0]); err != nil {
			return err
		}
		h := hypothetical{from: fields[1], to: fields[2], headers: fields[4:]}
		peer, err := w.peer(fields[3])
		if err != nil {
			return err
		}
		a, err := w.attempt(h.invite(), peer, "", now)
		if err != nil {
			return err
		}
		recorded := make(chan struct{})
		g.Judge(a, func(policy.Ruling) { close(recorded) })
		<-recorded
	}
	return s.Close()
}
