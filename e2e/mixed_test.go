//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"time"

	"dialgate/sipproxy/message"
)

// kinds are the calls of the mixed load, by how many of a hundred, with the
// status that the dialer must see.
var kinds = []struct {
	name   string
	share  int
	status int
}{
	{"dialer", 30, 200},    // answered; the dialer says something in the call and hangs up
	{"callee", 25, 200},    // answered; the callee does
	{"refused", 20, 403},   // there is no consent
	{"cancelled", 10, 487}, // the dialer loses patience while it rings
	{"busy", 8, 486},       //
	{"unanswered", 6, 480}, // it rings until the carrier gives up
	{"silent", 1, 480},     // the carrier says nothing at all, until timer B
}

// kindOf is that of the nth call: every hundred calls hold each in its share.
func kindOf(n int) (name string, status int) {
	at := n * 37 % 100 // mixed, since 37 and 100 have no common divisor
	for _, k := range kinds {
		if at < k.share {
			return k.name, k.status
		}
		at -= k.share
	}
	panic("the shares are less than a hundred")
}

// answers is the carrier's side of the mixed load.
func answers(c *talk, invite *message.View) error {
	switch c.kind() {
	case "silent":
		c.mu.Lock()
		c.last = nil
		c.mu.Unlock()
		return nil
	case "busy":
		return c.final(486)
	case "refused":
		return fmt.Errorf("a call without consent reached the carrier")
	}
	c.respond(180)
	switch c.kind() {
	case "cancelled":
		if err := wait("CANCEL", c.cancelled); err != nil {
			return err
		}
		return c.final(487)
	case "unanswered":
		time.Sleep(2 * time.Second)
		return c.final(480)
	}
	time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
	if err := c.final(200); err != nil {
		return err
	}
	if c.kind() == "dialer" {
		return wait("BYE", c.hungUp)
	}
	time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
	if err := c.say(invite, "UPDATE"); err != nil {
		return err
	}
	return c.say(invite, "BYE")
}

// dials makes the nth call of the mixed load.
func (k *talker) dials(n int, number string) error {
	kind, want := kindOf(n)
	k.mu.Lock()
	c := k.talkLocked(fmt.Sprintf("%s-%d", kind, n))
	k.mu.Unlock()
	defer c.linger()
	cancelled := make(chan error, 1)
	res, err := c.place(number, 70*time.Second, func(cancel func() error) {
		if kind == "cancelled" {
			time.AfterFunc(300*time.Millisecond, func() { cancelled <- cancel() })
		}
	})
	if err != nil {
		return err
	}
	if res.Status != want {
		return fmt.Errorf("answered by %d, want %d", res.Status, want)
	}
	switch kind {
	case "cancelled":
		return <-cancelled
	case "dialer":
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		for _, method := range []string{"INFO", "UPDATE", "BYE"} {
			if err := c.say(res, method); err != nil {
				return err
			}
		}
	case "callee":
		return wait("BYE", c.hungUp)
	}
	return nil
}
