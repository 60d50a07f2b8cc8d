package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// KindKey records that the node signs with another key from here on: its old
// one was lost, or not brought back with a backup. The record says so to whoever
// verifies, and proves nothing by itself: whoever can write to the disk could
// have written it. The new key must be had from the operator.
const KindKey Kind = 253

// A KeyChange is the public part of a record of [KindKey].
type KeyChange struct {
	Key    string `json:"key"`
	Before string `json:"before,omitempty"` // as it lay beside the ledger
}

func parseKeyChange(public []byte) (c KeyChange, err error) {
	if err := json.Unmarshal(public, &c); err != nil {
		return c, errors.New("the record of a change of the key can't be read")
	}
	if _, err := ParseKey(c.Key); err != nil {
		return c, errors.New("the record of a change of the key holds no key")
	}
	return c, nil
}

// keyBefore is the public key that was written beside the ledger last, "" when
// there is none.
func (l *Ledger) keyBefore() string {
	text, _ := os.ReadFile(filepath.Join(l.o.Dir, publicKeyFile)) // none: it is not known
	key, err := ParseKey(string(text))
	if err != nil {
		return ""
	}
	return key.String()
}

// recordKey records that the key is another one, and signs that.
func (l *Ledger) recordKey(before string) error {
	c := KeyChange{Key: l.evidence.public.String(), Before: before}
	if c.Before == c.Key {
		c.Before = "" // a start that did not come as far as here has written it
	}
	l.o.Log.Warn("the ledger was signed with another key than the node has now. From here on it signs with this one, and a record says so. Give the new public key to whoever verifies, and keep the old one: they need both",
		"key", c.Key, "before", c.Before, "records", l.Checkpoint().Size)
	public, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if _, err := l.AppendSync(Record{Time: time.Now().UTC(), Kind: KindKey, Public: public}); err != nil {
		return err
	}
	_, err = l.Seal()
	return err
}

// A KeyChanged is a change of the key that verifying has come by.
type KeyChanged struct {
	Record uint64
	KeyChange
	Given bool // it is one of the keys that the checkpoints were verified with
}

func (k *KeyChanged) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "record %d: from here on the node signs with the key %s", k.Record, k.Key)
	if k.Before != "" {
		fmt.Fprintf(&b, ", before with %s", k.Before)
	}
	if !k.Given {
		b.WriteString(". That key was not given. The record alone proves nothing: ask the operator for the key on another way than the data, and give both (--key OLD --key NEW)")
	}
	return b.String()
}

func (v *verifier) keyChange(r *Record, place string) {
	c, err := parseKeyChange(r.Public)
	if err != nil {
		v.find(r.Seq, place, "%v", err)
		return
	}
	v.report.Keys = append(v.report.Keys, KeyChanged{r.Seq, c, slices.ContainsFunc(v.heads.keys, func(k Key) bool { return k.String() == c.Key })})
}
