package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// A Secret signs what is sent to an endpoint. Unlike a token it is kept as it
// is: whoever signs needs it.
type Secret struct {
	Key   string    `json:"key"`
	Until time.Time `json:"until,omitzero"` // of one that was replaced: until then both sign
}

const (
	secretBegins = "whsec_"
	secretOctets = 32

	// overlap is how long a replaced secret goes on signing beside the new one,
	// so that whoever verifies can change over without losing an event.
	overlap    = 24 * time.Hour
	maxSecrets = 3
)

func newSecret() Secret {
	raw := make([]byte, secretOctets)
	_, _ = rand.Read(raw) // never fails
	return Secret{Key: secretBegins + base64.StdEncoding.EncodeToString(raw)}
}

// sign is the value of the header webhook-signature: one signature for each
// secret that is good, the newest first.
func sign(secrets []Secret, id string, at time.Time, body []byte) (string, error) {
	var all []string
	for _, s := range secrets {
		if !s.Until.IsZero() && !at.Before(s.Until) {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Key, secretBegins))
		if err != nil {
			return "", fmt.Errorf("a secret in %s can't be read: make a new one", FileName)
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " "), nil
}
