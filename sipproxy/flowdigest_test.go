package sipproxy

import (
	"fmt"
	"regexp"
	"strings"

	"dialgate/sipproxy/message"
)

// The dialer of flows with digest, and the realm that it is asked for.
const flowRealm, flowUser, flowPassword = "dialgate", "dialer", "secret"

func flowDigest() *Digest {
	d := &Digest{User: flowUser}
	d.Knows(SHA256, flowRealm, flowPassword)
	d.Knows(MD5, flowRealm, flowPassword)
	return d
}

// challengesOf are the challenges of a 407, in order.
func challengesOf(v *message.View) (all []string) {
	for i := range v.Headers {
		if h := &v.Headers[i]; message.EqualFold(h.Name, "Proxy-Authenticate") {
			all = append(all, string(h.Value))
		}
	}
	return all
}

var directive = regexp.MustCompile(`(\w+)="?([^",]*)"?`)

// proof is the line by which an agent answers a challenge, as the argument
// auth=PASSWORD[:FLAW…] wants it; "": none. A flaw is a directive that is said
// otherwise, such as qop=auth-int, or "md5", which takes the second challenge.
func (a *agent) proof(auth, method, uri string) string {
	if auth == "" {
		return ""
	}
	password, flaws, _ := strings.Cut(auth, ":")
	n := 0
	if flaws == "md5" {
		n, flaws = 1, ""
	}
	if n >= len(a.challenges) {
		a.s.t.Fatalf("%s has %d challenges", a.name, len(a.challenges))
	}
	asked := map[string]string{}
	for _, m := range directive.FindAllStringSubmatch(a.challenges[n], -1) {
		asked[m[1]] = m[2]
	}
	a.count++
	say := map[string]string{"username": flowUser, "uri": uri, "nc": fmt.Sprintf("%08x", a.count), "cnonce": "0a4f113b", "qop": "auth",
		"realm": asked["realm"], "nonce": asked["nonce"], "algorithm": asked["algorithm"]}
	for _, f := range strings.Fields(flaws) {
		key, value, _ := strings.Cut(f, "=")
		say[key] = value
	}
	of, _ := algorithmOf([]byte(asked["algorithm"]))
	h := algorithms[of].hex
	response := h(h(say["username"]+":"+say["realm"]+":"+password) + ":" + say["nonce"] + ":" + say["nc"] + ":" + say["cnonce"] + ":" + say["qop"] + ":" + h(method+":"+say["uri"]))
	return fmt.Sprintf("Proxy-Authorization: Digest username=%q, realm=%q, nonce=%q, uri=%q, response=%q, algorithm=%s, cnonce=%q, qop=%s, nc=%s\r\n",
		say["username"], say["realm"], say["nonce"], say["uri"], response, say["algorithm"], say["cnonce"], say["qop"], say["nc"])
}
