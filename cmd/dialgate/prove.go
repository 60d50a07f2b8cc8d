package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dialgate/store"
	"dialgate/store/ledger"
)

type auditKeyCmd struct{}

// Help is printed by --help.
func (auditKeyCmd) Help() string {
	return "Example: dialgate audit key\nGive this key to whoever is to check your proofs, on another way than the proofs."
}

func (auditKeyCmd) Run(s streams, parent *auditCmd) error {
	return withKeeper(parent.Config, func(k keeper) error {
		p, err := k.PublicKey()
		if err == nil {
			fmt.Fprintln(s.out, p)
		}
		return err
	})
}

type auditCheckpointCmd struct{}

// Help is printed by --help.
func (auditCheckpointCmd) Help() string {
	return "Example: dialgate audit checkpoint > checkpoint-2026-11-24\n" +
		"Keep it where who runs the node can't change it, such as in a mail to your auditor: it shows later that nothing before it was written anew."
}

func (auditCheckpointCmd) Run(s streams, parent *auditCmd) error {
	return withKeeper(parent.Config, func(k keeper) error {
		signed, err := k.Checkpoint()
		if err == nil {
			_, err = s.out.Write(signed)
		}
		return err
	})
}

type auditExportCmd struct {
	From string `help:"First instant of the period, RFC 3339." required:"" placeholder:"TIME"`
	To   string `help:"The period ends before this instant, RFC 3339; default: now." placeholder:"TIME"`
	File string `arg:"" help:"Where to write; - is standard output."`
}

// Help is printed by --help.
func (auditExportCmd) Help() string {
	return "Example: dialgate audit export --from 2026-11-01T00:00:00+01:00 november.jsonl"
}

func (c auditExportCmd) Run(s streams, parent *auditCmd) error {
	from, err := instant(c.From)
	if err != nil {
		return err
	}
	to := time.Now()
	if c.To != "" {
		if to, err = instant(c.To); err != nil {
			return err
		}
	}
	return withKeeper(parent.Config, func(k keeper) error {
		if c.File == "-" {
			return k.ExportLedger(from, to, s.out)
		}
		return writeWhole(c.File, func(w io.Writer) error { return k.ExportLedger(from, to, w) })
	})
}

type auditProveCmd struct {
	Number  string `arg:"" help:"The number, international or national."`
	KnownAt string `help:"Only what had been recorded by this instant, RFC 3339." placeholder:"TIME"`
	Out     string `help:"Name of the files without its ending; default: proof and the time." placeholder:"NAME"`
	JSON    bool   `help:"Write the JSON to standard output, and no files."`
}

// Help is printed by --help.
func (auditProveCmd) Help() string {
	return "Example: dialgate audit prove +31612345678\nWrites NAME.html for people and NAME.json for machines. Both can be verified anywhere with: dialgate audit verify --key KEY FILE"
}

func (c auditProveCmd) Run(s streams, parent *auditCmd) error {
	n, err := localNumber(c.Number)
	if err != nil {
		return usageError("%v", err)
	}
	knownAt, err := instant(c.KnownAt)
	if err != nil {
		return err
	}
	return withKeeper(parent.Config, func(k keeper) error {
		p, err := k.Prove(n, knownAt)
		if err != nil {
			return err
		}
		text, err := p.AppendJSON(nil)
		if err != nil {
			return err
		}
		if c.JSON {
			_, err := s.out.Write(text)
			return err
		}
		page, err := p.HTML()
		if err != nil {
			return err
		}
		name := c.Out
		if name == "" {
			name = "proof-" + p.Made.In(calledZone()).Format("20060102-150405")
		}
		for ending, data := range map[string][]byte{".json": text, ".html": page} {
			if err := writeWhole(name+ending, func(w io.Writer) error { _, err := w.Write(data); return err }); err != nil {
				return err
			}
		}
		v := &p.View
		fmt.Fprintf(s.out, "%d consents, %d withdrawals, %d objections, %d relationships, %d other facts and %d calls are proved in %s.html and %s.json\n",
			len(v.Consents), len(v.Withdrawals), len(v.Objections), len(v.Relationships), len(v.Other), len(v.Calls), name, name)
		return nil
	})
}

// writeWhole writes a file that only its owner may read, whole or not at all, on
// disk when it returns.
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".dialgate-*")
	if err != nil {
		return fmt.Errorf("the file can't be written: %w", err)
	}
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	return nil
}

type auditVerifyCmd struct {
	Key        []string `help:"The node's public key, as audit key prints it, or a file that holds it; default: the one found with the data, which proves little. Repeat it when the key was changed." placeholder:"KEY" sep:"none"`
	Checkpoint []string `help:"A checkpoint that was kept elsewhere, as audit checkpoint printed it: a ledger must hold the same records. Repeatable." placeholder:"FILE" sep:"none"`
	JSON       bool     `help:"As JSON."`
	Path       string   `arg:"" help:"A copy of a ledger's directory, an export, or a proof pack."`
}

// Help is printed by --help.
func (auditVerifyCmd) Help() string {
	return "Example: dialgate audit verify --key dialgate+1a2b3c4d+AbC... proof.html\nWorks anywhere, without the node and without a network."
}

// A verification is what audit verify has found.
type verification struct {
	What     string   `json:"what"`
	Good     bool     `json:"good"`
	KeyFrom  string   `json:"key_from"`
	Found    string   `json:"found"`
	Findings []string `json:"findings,omitempty"`
}

// Run verifies. Exit status 1: something is not as it was signed.
func (c auditVerifyCmd) Run(s streams) error {
	keys, err := readKeys(c.Key)
	if err != nil {
		return err
	}
	var outside [][]byte
	for _, path := range c.Checkpoint {
		text, err := os.ReadFile(path)
		if err != nil {
			return usageError("%v", err)
		}
		outside = append(outside, text)
	}
	v, err := verify(c.Path, outside, keys)
	if err != nil {
		return err
	}
	v.Good, v.KeyFrom = len(v.Findings) == 0, "given"
	if len(keys) == 0 {
		v.KeyFrom = "found with the data"
	}
	if c.JSON {
		if err := printJSON(s.out, v); err != nil {
			return err
		}
	} else {
		v.text(s.out)
	}
	if !v.Good {
		return errFinding
	}
	return nil
}

func (v *verification) text(w io.Writer) {
	for _, f := range v.Findings {
		fmt.Fprintln(w, "NOT AS IT WAS SIGNED:", f)
	}
	if v.Found != "" {
		fmt.Fprintln(w, v.Found)
	}
	if v.KeyFrom != "given" {
		fmt.Fprintln(w, "the key was found with the data: whoever changed the one could change the other; give the key with --key")
	}
	if v.Good {
		fmt.Fprintf(w, "the %s is as it was signed\n", v.What)
	}
}

func readKeys(texts []string) (keys []ledger.Key, err error) {
	for _, text := range texts {
		if file, err := os.ReadFile(text); err == nil {
			text = string(file)
		}
		key, err := ledger.ParseKey(text)
		if err != nil {
			return nil, usageError("%v", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// verify looks what lies at a path and verifies it.
func verify(path string, outside [][]byte, keys []ledger.Key) (*verification, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError("%v", err)
	}
	if info.IsDir() {
		if store.Exists(path) {
			path = filepath.Join(path, "ledger")
		}
		report, err := ledger.Verify(path, outside, keys...)
		if err != nil {
			return nil, err
		}
		v := &verification{What: "ledger", Found: report.String()}
		for _, f := range report.Findings {
			v.Findings = append(v.Findings, f.String())
		}
		return v, nil
	}
	if len(outside) > 0 {
		return nil, usageError("a checkpoint kept elsewhere is held against a whole ledger, not against an export or a proof pack")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 64)
	n, _ := io.ReadFull(f, start) // a shorter file is none of ours
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(start[:n], []byte(`{"format":"`+store.ExportFormat)) {
		head, err := store.ReadExport(f, keys...)
		v := &verification{What: "export"}
		if err != nil {
			v.Findings = []string{err.Error()}
		} else {
			v.Found = fmt.Sprintf("records %d to %d, from %s to %s", head.First, head.Last, head.From.Format(time.RFC3339), head.To.Format(time.RFC3339))
			if head.Late > 0 {
				v.Found += fmt.Sprintf("; %d calls were not answered as decided, since their records were not on disk in time: the lines of their outcomes say instead", head.Late)
			}
		}
		return v, nil
	}
	if info.Size() > store.MaxPack {
		return nil, usageError("%s is no ledger, export or proof pack: it is too large", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, store.MaxPack))
	if err != nil {
		return nil, err
	}
	p, head, err := store.ReadPack(data, keys...)
	v := &verification{What: "proof pack"}
	if err != nil {
		v.Findings = []string{err.Error()}
	} else {
		v.Found = fmt.Sprintf("%d records about %s, among the %d signed at %s", len(p.Records), p.Number, head.Size, head.Time.Format(time.RFC3339))
	}
	return v, nil
}
