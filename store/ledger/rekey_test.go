package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAnotherKey: a node that comes back without its key records the change, and
// who verifies is told, by the old key, the new one and both.
func TestAnotherKey(t *testing.T) {
	dir, keyFile := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "key")
	o := Options{Dir: dir, Key: keyFile, SegmentSize: 1 << 16, Linger: time.Microsecond}
	l := open(t, o)
	old := l.PublicKey()
	fill(t, l, 10)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	fresh := l.PublicKey()
	if got := l.Durable(); got != 11 {
		t.Errorf("%d records, want one more for the change", got)
	}
	fill(t, l, 16)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, o) // the same key: nothing is recorded again
	if got := l.Durable(); got != 16 || l.PublicKey().String() != fresh.String() {
		t.Errorf("%d records after another start", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		keys []Key
		good bool
		says []string
	}{
		"both":     {[]Key{old, fresh}, true, []string{"record 11: from here on the node signs with the key " + fresh.String() + ", before with " + old.String()}},
		"only old": {[]Key{old}, false, []string{"record 11: from here on the node signs with the key " + fresh.String(), "proves nothing", "ask the operator"}},
		"only new": {[]Key{fresh}, false, []string{"record 11: from here on"}},
	} {
		report, err := Verify(dir, nil, c.keys...)
		if err != nil {
			t.Fatal(err)
		}
		if good := len(report.Findings) == 0; good != c.good {
			t.Errorf("%s: %v", name, report.Findings)
		}
		for _, text := range c.says {
			if !strings.Contains(report.String(), text) {
				t.Errorf("%s: %s\nlacks %q", name, report, text)
			}
		}
		if strings.Contains(report.String(), "was not given") == (name != "only old") {
			t.Errorf("%s: %s", name, report)
		}
	}
}
