package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"dialgate/policy"
	"dialgate/sipproxy/message"
	"dialgate/trace"
)

type traceCmd struct {
	Pseudonymise pseudonymiseCmd `cmd:"" help:"Write a capture that may leave the house and is judged the same."`
}

type pseudonymiseCmd struct {
	Config string `short:"c" help:"Configuration file; the caller numbers it lists are kept. Default: the embedded one." placeholder:"FILE"`
	Key    string `help:"File with at least 16 octets: under one key the same number always becomes the same other one. Default: a new key for this capture." placeholder:"FILE"`
	In     string `arg:"" help:"A trace in any format that replay reads."`
	Out    string `arg:"" help:"The capture to write (pcap)."`
}

// Help is printed by --help.
func (pseudonymiseCmd) Help() string {
	return "Example: dialgate trace pseudonymise monday.pcap monday-pseudonymous.pcap\n\n" +
		"Numbers keep their form, country and class; names, addresses, tokens and session descriptions are replaced; only SIP is kept. " +
		"A number's facts do not follow it: judge both captures without facts, and with --peer, since source addresses are replaced too."
}

// Run rewrites every SIP message of a trace. Each INVITE is read before and
// after, and one that would be judged otherwise is told.
func (c pseudonymiseCmd) Run(s streams) (err error) {
	w, err := loadWorld(c.Config)
	if err != nil {
		return err
	}
	p := pseudonymiser{world: w}
	if p.key, err = c.key(); err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usageError("the capture can't be written: %v", err)
	}
	buffered := bufio.NewWriter(f)
	defer func() { err = errors.Join(err, buffered.Flush(), f.Close()) }()
	out, err := trace.NewWriter(buffered)
	if err != nil {
		return err
	}
	r := rewriting{pseudonymiser: p, out: out}
	for m, err := range trace.Open(c.In, trace.Options{Zone: calledZone()}) {
		var problem *trace.Problem
		if errors.As(err, &problem) {
			fmt.Fprintf(s.err, "%s: %v\n", c.In, problem)
			r.unread = r.unread || problem.Ends
			continue
		}
		if err := r.write(&m); err != nil {
			return err
		}
		if r.otherwise != "" {
			fmt.Fprintf(s.err, "%s: packet %d: %s\n", c.In, m.Packet, r.otherwise)
		}
	}
	fmt.Fprintf(s.out, "%d SIP messages are written, %d were not whole and are left out; %d INVITEs would be judged otherwise\n", r.written, r.cut, r.differ)
	switch {
	case r.unread:
		return &statusError{exitFailed, "the trace could not be read to its end"}
	case r.differ > 0:
		return errFinding
	}
	return nil
}

func (c pseudonymiseCmd) key() ([]byte, error) {
	if c.Key == "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return key, nil
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, usageError("the key can't be read: %v", err)
	}
	if key = bytes.TrimSpace(key); len(key) < 16 {
		return nil, usageError("the key has %d octets, at least 16 are needed", len(key))
	}
	return key, nil
}

// A rewriting goes through a trace.
type rewriting struct {
	pseudonymiser
	out                  *trace.Writer
	written, cut, differ int
	unread               bool
	otherwise            string // why the message at hand would be judged otherwise
}

func (r *rewriting) write(m *trace.Message) error {
	r.otherwise = ""
	if m.Cut != "" {
		r.cut++
		return nil
	}
	before := bytes.Clone(m.Bytes)
	m.Bytes = r.message(before)
	m.Source, m.Destination = r.endpoint(m.Source), r.endpoint(m.Destination)
	r.written++
	if bytes.HasPrefix(before, []byte("INVITE ")) {
		if was, is := r.read(before), r.read(m.Bytes); was != is {
			r.differ++
			r.otherwise = fmt.Sprintf("would be judged otherwise: %s, and was %s", is, was)
		}
	}
	return r.out.Write(m)
}

// endpoint replaces the address, not the port.
func (r *rewriting) endpoint(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() {
		return a
	}
	return netip.AddrPortFrom(r.address(a.Addr()), a.Port())
}

// read is what the rules see of an INVITE, whoever sent it, but for its numbers.
func (r *rewriting) read(raw []byte) string {
	var v message.View
	err := v.Parse(raw)
	var a policy.Attempt
	r.world.read(&v, err, r.world.domain.Peers[0].Terms, &a)
	kinds := [3]int{}
	for _, m := range a.Caller.Marks {
		kinds[m.Kind]++
	}
	return fmt.Sprintf("caller %s of %s, %d hide it, %d contradict it; called %s, emergency %v, hides %q; fax %v, malformed %v, campaign %v",
		a.Caller.Class, a.Caller.From, kinds[policy.MarkHidden], kinds[policy.MarkContradicts], a.Called.Class, a.Called.Emergency, a.Called.Hides, a.Fax, a.Malformed != "", a.Campaign != nil)
}
