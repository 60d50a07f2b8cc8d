package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"dialgate/store/ledger"
)

// ExportFormat names the form of an export of the ledger.
const ExportFormat = "dialgate ledger export 1"

// An ExportHead is the first line of an export. Each line after it is the
// [PackRecord] of one record, First to Last without a gap: every line proves
// itself, and none can be left out.
type ExportHead struct {
	Format     string    `json:"format"`
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Made       time.Time `json:"made"`
	Key        string    `json:"key"`
	Checkpoint string    `json:"checkpoint"`
	First      uint64    `json:"first"` // 0: no record is of that time
	Last       uint64    `json:"last"`
	Late       int       `json:"-"` // calls that were not answered as decided, counted when it is read
}

// ExportLedger writes the records of a period as JSON Lines with their proofs.
// When a clock was set back, records of another time that stand between those
// of the period are written too.
func (s *Store) ExportLedger(from, to time.Time, w io.Writer) error {
	checkpoint, err := s.ledger.Seal()
	if err != nil {
		return err
	}
	head := ExportHead{Format: ExportFormat, From: from.UTC(), To: to.UTC(), Made: s.o.Now().UTC().Truncate(time.Second),
		Key: s.ledger.PublicKey().String(), Checkpoint: string(checkpoint.Note)}
	var first ledger.Place
	for r, err := range s.ledger.All(1) {
		if err != nil {
			return err
		}
		if r.Seq > checkpoint.Size {
			break
		}
		if r.Time.Before(from) || !r.Time.Before(to) {
			continue
		}
		if head.Last = r.Seq; head.First == 0 {
			head.First, first = r.Seq, r.Place
		}
	}
	b := bufio.NewWriterSize(w, 256<<10)
	enc := json.NewEncoder(b)
	if err := enc.Encode(head); err != nil {
		return err
	}
	if head.First == 0 {
		return b.Flush()
	}
	for r, err := range s.ledger.From(first) {
		if err != nil {
			return err
		}
		if r.Seq > head.Last {
			break
		}
		line, err := s.packRecord(&r, checkpoint)
		if err == nil {
			line.Shows, err = shows(&r)
		}
		if err == nil {
			err = enc.Encode(line)
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}

// shows is a record for readers: what stands in its public part and its payload.
func shows(r *ledger.Record) (json.RawMessage, error) {
	private := json.RawMessage(r.Payload)
	if r.Kind == kindCarried && !r.Erased {
		carried, err := readCarried(r)
		if err != nil {
			return nil, err
		}
		private = []byte{'['}
		for i := range carried.All {
			if i > 0 {
				private = append(private, ',')
			}
			private = carried.All[i].AppendJSON(private)
		}
		private = append(private, ']')
	}
	out := struct {
		Time    time.Time       `json:"time"`
		Kind    string          `json:"kind"`
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private,omitempty"`
		Erased  bool            `json:"erased,omitempty"`
	}{r.Time, kindName(r.Kind), r.Public, private, r.Erased}
	return json.Marshal(out)
}

func kindName(k ledger.Kind) string {
	switch k {
	case kindFact:
		return "fact"
	case kindDecision:
		return "decision"
	case kindOutcome:
		return "outcome"
	case kindRepeats:
		return "repeats"
	case kindCarried:
		return "carried over"
	case kindRegister:
		return "register"
	case kindLookUp:
		return "look-up"
	case ledger.KindErasure:
		return "erasure"
	case ledger.KindRetention:
		return "retention"
	case ledger.KindKey:
		return "key"
	}
	return fmt.Sprint("kind ", uint8(k))
}

// maxExportLine bounds a line: a record of the greatest size, twice, in base64.
const maxExportLine = 8 << 20

// ReadExport verifies an export with the keys given, or else with the one it
// holds. The error names the first record that is not as it was signed.
func ReadExport(in io.Reader, keys ...ledger.Key) (head ExportHead, err error) {
	return readExport(in, func(*ledger.Record, []byte) error { return nil }, keys...)
}

// readExport is ReadExport that shows each record with its leaf when it is verified.
func readExport(in io.Reader, see func(r *ledger.Record, leaf []byte) error, keys ...ledger.Key) (head ExportHead, err error) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), maxExportLine)
	if !sc.Scan() {
		return head, errors.Join(errors.New("the export is empty"), sc.Err())
	}
	if err := json.Unmarshal(sc.Bytes(), &head); err != nil || head.Format != ExportFormat {
		return head, fmt.Errorf("no export of the form %q", ExportFormat)
	}
	if again, err := json.Marshal(head); err != nil || !bytes.Equal(again, sc.Bytes()) {
		return head, errors.New("the first line can't be read")
	}
	if len(keys) == 0 {
		key, err := ledger.ParseKey(head.Key)
		if err != nil {
			return head, err
		}
		keys = []ledger.Key{key}
	}
	checkpoint, err := ledger.OpenCheckpoint([]byte(head.Checkpoint), keys...)
	if err != nil {
		return head, err
	}
	next := head.First
	for ; sc.Scan(); next++ {
		if head.First == 0 || next > head.Last {
			return head, errors.New("lines follow the last record")
		}
		err := readExportLine(sc.Bytes(), next, checkpoint, func(r *ledger.Record, leaf []byte) error {
			if tellsInstead(r) {
				head.Late++
			}
			return see(r, leaf)
		})
		if err != nil {
			return head, err
		}
	}
	if err := sc.Err(); err != nil {
		return head, fmt.Errorf("record %d: the line can't be read: %w", next, err)
	}
	if head.First != 0 && next != head.Last+1 {
		return head, fmt.Errorf("record %d is missing: the export ends before it", next)
	}
	return head, nil
}

func readExportLine(text []byte, seq uint64, checkpoint ledger.Checkpoint, see func(r *ledger.Record, leaf []byte) error) error {
	var line PackRecord
	if err := json.Unmarshal(text, &line); err != nil {
		return fmt.Errorf("record %d: the line can't be read", seq)
	}
	if line.Seq != seq {
		return fmt.Errorf("record %d is missing: record %d stands in its place", seq, line.Seq)
	}
	r, err := line.open(checkpoint)
	if err != nil {
		return err
	}
	if line.Shows, err = shows(&r); err != nil {
		return fmt.Errorf("record %d: %w", seq, err)
	}
	if again, err := json.Marshal(line); err != nil || !bytes.Equal(again, text) {
		return fmt.Errorf("record %d: the line is not what the record says", seq)
	}
	return see(&r, line.Leaf)
}
